"""The refusal of an image file."""

from crackgate.contracts.scale import TrainedScale


class RejectedImageError(Exception):
    """An unusable file: `reason` is one of a few fixed words, `detail` the exact fault."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def too_many_bytes(size: int, allowed: int) -> RejectedImageError:
    """The refusal of a file for its size, in bytes."""
    return RejectedImageError("too large", f"{size} bytes, allowed are {allowed}")


def scale_refusal(scale: TrainedScale, width: int, height: int) -> RejectedImageError:
    """The refusal of an image of this size, in pixels, by a model's scale."""
    reason, _, detail = scale.refusal.format(width, height).partition(": ")
    return RejectedImageError(reason, detail)
