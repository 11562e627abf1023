"""Bounds on single images, for ingest and for serving alike."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class ImageLimits:
    """Bounds that keep one file from harming the run.

    `min_side` is in pixels. `max_pixels`, width times height, is checked before anything is decoded.
    """

    min_side: int = 32
    max_pixels: int = 50_000_000
    max_bytes: int = 50_000_000

    def widened(self, other: Self) -> Self:
        """Takes all images that one of both takes."""
        return type(self)(
            min(self.min_side, other.min_side),
            max(self.max_pixels, other.max_pixels),
            max(self.max_bytes, other.max_bytes),
        )
