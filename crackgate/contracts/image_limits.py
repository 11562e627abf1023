"""Bounds on single images, for ingest and for serving alike."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageLimits:
    """Bounds that keep one file from harming the run.

    `min_side` is in pixels. `max_pixels`, width times height, is checked before anything is decoded.
    """

    min_side: int = 32
    max_pixels: int = 50_000_000
    max_bytes: int = 50_000_000
