"""The refusal of an image file."""


class RejectedImageError(Exception):
    """An unusable file: `reason` is one of a few fixed words, `detail` the exact fault."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def too_many_bytes(size: int, allowed: int) -> RejectedImageError:
    """The refusal of a file for its size, in bytes."""
    return RejectedImageError("too large", f"{size} bytes, allowed are {allowed}")
