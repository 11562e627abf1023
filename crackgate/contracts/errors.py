"""The error that says: the data is at fault, not the program."""

from crackgate.contracts.account import Account


class DataRejectedError(Exception):
    """The data did not pass its checks: a sentence for each reason, and the account where ingest counted files."""

    def __init__(self, reasons: list[str], account: Account | None = None):
        super().__init__("; ".join(reasons))
        self.reasons = reasons
        self.account = account
