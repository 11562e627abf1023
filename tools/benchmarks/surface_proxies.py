"""Stand-ins for other surfaces and cameras, made in ways that the trainer's augmentation does not use.

Cracks from photographs are laid over photographs of other, sound surfaces; Pillow's filters imitate cameras. A model
that fails here fails on bridges too. A model that passes may still fail there.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from scipy import ndimage

Pixels = NDArray[np.uint8]

SIDE = 227
# Pixels: least length of a crack, about half of the picture, and greatest mean width.
_SHORTEST, _WIDEST = 120, 14
_DARK = 0.8


def crack_shades(photograph: Pixels) -> NDArray[np.float64] | None:
    """Returns the darkness of a crack against its surroundings.

    It maps uint8 (SIDE, SIDE, 3) to float64 (SIDE, SIDE): 1 outside the crack, down to 0.05 inside. None means that no
    thin, dark, long shape stands out.
    """
    grey = photograph.mean(axis=2)
    coarse = ndimage.median_filter(grey[::3, ::3], 21).repeat(3, axis=0).repeat(3, axis=1)[:SIDE, :SIDE]
    surroundings = ndimage.gaussian_filter(coarse, 4) + 1
    shapes, count = ndimage.label(ndimage.gaussian_filter(grey, 0.7) < _DARK * surroundings, np.ones((3, 3)))
    if not count:
        return None
    crack = shapes == 1 + np.argmax(np.bincount(shapes.ravel())[1:])
    extent = max(np.ptp(places) for places in np.nonzero(crack))
    if extent < _SHORTEST or crack.sum() > _WIDEST * extent:
        return None
    share = 1.2 * ndimage.gaussian_filter(ndimage.binary_dilation(crack, iterations=2).astype(float), 1)
    return 1 - share.clip(0, 1) * (1 - (grey / surroundings).clip(0.05, 1))


def transplants(
    surfaces: Sequence[Pixels], shades: Sequence[NDArray[np.float64]], count: int, thin: bool, rng: np.random.Generator
) -> tuple[list[Pixels], NDArray[np.int64]]:
    """Returns 2 x `count` pictures (SIDE, SIDE, 3), with 1 for each cracked and 0 for each sound surface.

    `surfaces` are photographs of sound surfaces of any size, `shades` come from `crack_shades`. `thin` shrinks the
    cracks to 0.4 to 0.75 of their width; `rng` draws parts of the surfaces, cracks and turns.
    """
    pictures, labels = [], []
    for number in range(2 * count):
        picture = _part(surfaces[number // 2 % len(surfaces)], rng)
        if number % 2:
            crack = shades[rng.integers(len(shades))]
            crack = (_shrunk(crack, rng) if thin else crack) ** rng.uniform(0.6, 1.1)
            picture = (picture * np.rot90(crack, rng.integers(4))[..., None]).astype(np.uint8)
        pictures.append(picture)
        labels.append(number % 2)
    return pictures, np.array(labels)


def retaken(photograph: Pixels, rng: np.random.Generator) -> Pixels:
    """Returns the photograph through a worse camera and in another light."""
    side = int(rng.integers(90, 200))
    coarser = [Image.Resampling.NEAREST, Image.Resampling.BOX, Image.Resampling.LANCZOS][rng.integers(3)]
    image = Image.fromarray(photograph).resize((side, side), coarser).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    sharpened = ImageFilter.UnsharpMask(2, int(rng.integers(80, 250)))
    image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 1.5)) if rng.random() < 0.5 else sharpened)
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.45, 1.35))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.4, 1.6))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0, 3))
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    vignette = 1 - rng.uniform(0, 0.5) * (x**2 + y**2) / 2
    pixels = np.asarray(image) * rng.uniform(0.75, 1.2, 3) * vignette[..., None]
    pixels += rng.normal(0, rng.uniform(0, 14), (SIDE, SIDE, 1))
    stored = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stored, "JPEG", quality=int(rng.integers(20, 80)))
    return np.asarray(Image.open(stored).convert("RGB"))


def _part(surface: Pixels, rng: np.random.Generator) -> Pixels:
    side = int(min(*surface.shape[:2], rng.integers(170, 420)))
    top, left = (rng.integers(length - side + 1) for length in surface.shape[:2])
    part = Image.fromarray(surface[top : top + side, left : left + side])
    return np.asarray(part.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _shrunk(crack: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    side = int(SIDE * rng.uniform(0.4, 0.75))
    small = np.asarray(Image.fromarray(crack.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))
    before = rng.integers(SIDE - side + 1, size=2)
    return np.pad(small, [(at, SIDE - side - at) for at in before], mode="reflect").astype(float)
