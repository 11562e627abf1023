"""The error that says: the data is at fault, not the program."""

from typing import Any


class DataRejectedError(Exception):
    """The data did not pass its checks.

    Attributes:
        reasons: One plain sentence per finding.
        account: What ingest counted so far (see `image_example_gen.executor`), or an empty dict.
    """

    def __init__(self, reasons: list[str], account: dict[str, Any] | None = None):
        super().__init__("; ".join(reasons))
        self.reasons = reasons
        self.account = account or {}
