"""Colours of an embedded ICC profile as sRGB, which networks and most viewers expect."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

# A picture moves visibly when more than a hundredth of its pixels move by more than three levels.
_VISIBLE_LEVELS, _VISIBLE_SHARE = 3, 0.01
_SAMPLED = 64
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture of mode RGB, L or CMYK in sRGB, mode RGB.

    None if the profile moves nothing visibly, is for another kind of picture, or is broken.
    """
    found = _transform(profile)
    if found is None:
        return None
    mode, transform = found
    if image.mode != mode:
        if (image.mode, mode) != ("L", "RGB"):
            return None
        image = image.convert("RGB")
    step = max(1, min(image.size) // _SAMPLED)
    sample = image.resize((-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST)
    moved = np.abs(_levels(transform.apply(sample)) - _levels(sample.convert("RGB"))).max(axis=-1)
    return transform.apply(image) if np.mean(moved > _VISIBLE_LEVELS) > _VISIBLE_SHARE else None


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.int16)


# A data set has the profiles of a few cameras.
@functools.lru_cache(maxsize=16)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """The mode that a profile is for, and its way to sRGB."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[opened.profile.xcolor_space]
        # Threads share it: lcms may keep no last colour.
        flags = ImageCms.Flags.NOCACHE | ImageCms.Flags.BLACKPOINTCOMPENSATION
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return mode, ImageCms.ImageCmsTransform(opened, srgb, mode, "RGB", intent, flags=flags)
    except (OSError, KeyError, ValueError, ImageCms.PyCMSError):
        # Viewers pass over a broken profile, too.
        return None
