"""The errors that say: the data is at fault, not the program."""

from crackgate.contracts.account import Account


class DataRejectedError(Exception):
    """The data did not pass its checks: a sentence for each reason, and the account where ingest counted files."""

    def __init__(self, reasons: list[str], account: Account | None = None):
        super().__init__("; ".join(reasons))
        self.reasons = reasons
        self.account = account


class WrongQuestionError(Exception):
    """The data folder does not say what is to be learnt; the message says what it has, and what is needed."""


# The end of such a message.
NEEDED = (
    "a classifier needs one folder of images per class, or a table with the columns path and label (--labels FILE); "
    "docs/data.md shows how to make one"
)
