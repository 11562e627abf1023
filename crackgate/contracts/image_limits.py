"""Bounds on single images, for ingest and for serving alike."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageLimits:
    """Bounds that keep one file from harming the run.

    Attributes:
        min_side: Smallest accepted width and height, in pixels.
        max_pixels: Largest accepted width times height, checked before anything is decoded.
        max_bytes: Largest accepted file.
    """

    min_side: int = 32
    max_pixels: int = 50_000_000
    max_bytes: int = 50_000_000
