"""Synthetic photographs of concrete, cracked and sound; everything but the crack is distributed alike in both."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

# Red, green and blue of size x size pixels, 0 black to 255 white, changed in place; or one such plane of shares.
Planes = NDArray[np.float32]
Plane = NDArray[np.float32]
Vectors = NDArray[np.float64]
# Corners of a polygon in units of the image's side, and its opacity from 0 to 1.
Patch = tuple[Vectors, float]

SMALLEST_SIDE = 32
# Widths are fractions of the side, written as pixels of a 227-pixel photograph.
_PIXEL = 1 / 227
# From anywhere near the middle this far in any direction is outside the photograph.
_BEYOND = 0.9
_SUPERSAMPLING = 3
_INKS = ((35, 40, 50), (40, 60, 150), (165, 45, 45), (240, 240, 235), (225, 205, 70), (90, 90, 95))


def write_sample_data(
    folder: Path, count: int, seed: int = 0, size: int = 227, on_written: Callable[[Path], None] | None = None
) -> None:
    """Writes `count` square RGB JPEG files, `folder/Positive/00001.jpg` and `folder/Negative/00001.jpg` onwards.

    Half are Positive (cracked), half Negative (sound); an odd one is Negative. `seed`, class, number and `size` in
    pixels alone decide a file. `on_written` receives the path of each finished file.

    Raises ValueError for a count below 2, a side below 32 pixels or a negative seed.
    """
    if count < 2:
        raise ValueError(f"count is {count}; it must be 2 or more, one photograph of each class")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or more")
    _check_side(size)
    for label, cracked, in_class in (("Positive", True, count // 2), ("Negative", False, count - count // 2)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(1, in_class + 1):
            rng = np.random.default_rng([seed, int(cracked), number])
            path = folder / label / f"{number:05d}.jpg"
            draw_photograph(cracked, rng, size).save(path, "JPEG", quality=int(rng.integers(80, 96)))
            if on_written is not None:
                on_written(path)


def draw_photograph(cracked: bool, rng: np.random.Generator, size: int = 227) -> Image.Image:
    """Draws one RGB photograph of concrete, `size` pixels square, with a crack if `cracked`.

    All randomness comes from `rng`. Raises ValueError for a side below 32 pixels.
    """
    _check_side(size)
    # One direction for the whole image: it decides which side of every hollow is bright.
    light = _direction(rng.uniform(0, 2 * np.pi))
    surface = _concrete(rng, size, light)
    for add, share in _DISTRACTORS:
        if rng.random() < share:
            add(surface, rng, light)
    if cracked:
        _crack(surface, rng, light)
    return _expose(surface, rng)


def _check_side(size: int) -> None:
    if size < SMALLEST_SIDE:
        raise ValueError(f"size is {size} pixels; it must be {SMALLEST_SIDE} or more")


def _concrete(rng: np.random.Generator, size: int, light: Vectors) -> Planes:
    slant, stretch = rng.uniform(0, np.pi), rng.uniform(1, 2.5)
    mottle = _noise(rng, size, (3, 6, 12, 30), slant, stretch)
    height = _noise(rng, size, (12, 24, 48, 90), slant, stretch, falloff=rng.uniform(0.6, 1.1))
    slope_y, slope_x = np.gradient(height)
    relief = slope_x * light[0] + slope_y * light[1]
    brightness = 1 + rng.uniform(0.01, 0.06) * mottle + rng.gamma(2, 0.018) * relief / relief.std()
    # From beige to bluish, and browner or greyer where the surface is mottled.
    warmth, green, drift = rng.normal(0.02, 0.03), rng.normal(0.003, 0.008), rng.normal(0, 0.006) * mottle
    hues = (1 + warmth + drift, 1 + green, 1 - 1.3 * warmth - drift)
    tone = rng.uniform(125, 210)
    return np.stack([tone * brightness * hue for hue in hues]).astype(np.float32)


def _expose(surface: Planes, rng: np.random.Generator) -> Image.Image:
    size = surface.shape[-1]
    gradient = rng.uniform(0, 0.35) * _signed_distance(rng, size)
    vignette = rng.uniform(0, 0.2) * _signed_distance(rng, size) ** 2
    grain = rng.uniform(0.5, 4) * rng.standard_normal((size, size), dtype=np.float32)
    exposed = np.clip(surface * (1 + gradient - vignette) + grain, 0, 255).astype(np.uint8)
    sharp = Image.fromarray(np.ascontiguousarray(exposed.transpose(1, 2, 0)))
    return sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1) * size * _PIXEL))


def _add_stain(surface: Planes, rng: np.random.Generator, _light: Vectors) -> None:
    dark, size = rng.random() < 0.75, surface.shape[-1]
    change = (rng.uniform(0.5, 0.92) if dark else rng.uniform(1.12, 1.5)) * rng.normal(1, 0.02, (3, 1, 1)) - 1
    shape = _noise(rng, size, (2, 4, 8, 16, 32), rng.uniform(0, np.pi), rng.uniform(1, 2))
    sharpness = rng.uniform(0.7, 3 if dark else 10)
    surface *= 1 + change * np.clip(sharpness * (shape - rng.uniform(0.3, 1.6)), 0, 1)


def _add_pits(surface: Planes, rng: np.random.Generator, light: Vectors) -> None:
    corners = np.stack([_direction(angle) for angle in np.arange(8) * np.pi / 4])
    patches = []
    for _ in range(rng.integers(2, 22)):
        radius = (1 + rng.gamma(2, 1.3)) * _PIXEL
        ring = radius * rng.uniform(0.5, 1.2, (8, 1)) * corners * [rng.uniform(0.5, 1.5), 1]
        patches.append((rng.uniform(0, 1, 2) + ring, rng.uniform(0.5, 1)))
    _carve(surface, patches, light, depth=rng.uniform(0.45, 0.9), lip=rng.uniform(0, 0.2), rim=2 * _PIXEL)


def _add_form_edge(surface: Planes, rng: np.random.Generator, light: Vectors) -> None:
    middle, along = rng.uniform(0.1, 0.9, 2), _direction(rng.uniform(0, 2 * np.pi))
    line = _stroke(middle - 1.5 * along, middle, middle + 1.5 * along, rng.uniform(1.5, 11) * _PIXEL)
    dark = rng.random() < 0.65
    depth = rng.uniform(0.3, 0.85) if dark else rng.uniform(-0.35, -0.1)
    _carve(surface, line, light, depth, lip=rng.uniform(0, 0.25) if dark else 0, rim=2 * _PIXEL)


def _add_scratches(surface: Planes, rng: np.random.Generator, _light: Vectors) -> None:
    angle, change = rng.uniform(0, 2 * np.pi), rng.choice((-1, 1)) * rng.uniform(0.1, 0.4)
    patches: list[Patch] = []
    for _ in range(rng.integers(1, 9)):
        start = rng.uniform(0, 1, 2)
        end = start + rng.uniform(0.15, 0.8) * _direction(angle + rng.normal(0, 0.12))
        patches += _stroke(start, (start + end) / 2 + rng.normal(0, 0.015, 2), end, rng.uniform(0.5, 1.3) * _PIXEL)
    surface *= 1 + change * _rasterise(patches, surface.shape[-1])


def _add_drawn_mark(surface: Planes, rng: np.random.Generator, _light: Vectors) -> None:
    width, start = rng.uniform(1.2, 5) * _PIXEL, rng.uniform(0.1, 0.9, 2)
    patches: list[Patch] = []
    for _ in range(rng.integers(1, 4)):
        end = rng.uniform(-0.1, 1.1, 2)
        patches += _stroke(start, rng.uniform(0, 1, 2), end, width)
        start = end
    opacity = rng.uniform(0.5, 0.95) * _rasterise(patches, surface.shape[-1])
    surface += opacity * (np.array(rng.choice(_INKS))[:, None, None] - surface)


def _add_shadow(surface: Planes, rng: np.random.Generator, _light: Vectors) -> None:
    penumbra = rng.uniform(1, 25) * _PIXEL
    shaded = np.clip(_signed_distance(rng, surface.shape[-1]) / penumbra + 0.5, 0, 1)
    surface *= 1 - rng.uniform(0.15, 0.55) * shaded


# Each with the share of photographs, cracked or sound, that has it.
_DISTRACTORS: tuple[tuple[Callable[[Planes, np.random.Generator, Vectors], None], float], ...] = (
    (_add_stain, 0.6),
    (_add_pits, 0.55),
    (_add_form_edge, 0.25),
    (_add_scratches, 0.3),
    (_add_drawn_mark, 0.2),
    (_add_shadow, 0.35),
)


def _crack(surface: Planes, rng: np.random.Generator, light: Vectors) -> None:
    middle, angle = rng.uniform(0.3, 0.7, 2), rng.uniform(0, 2 * np.pi)
    ends_within = rng.random() < 0.3
    path = _jagged_path(middle - _BEYOND * _direction(angle), middle, rng)
    if not ends_within:
        path = np.concatenate((path, _jagged_path(middle, middle + _BEYOND * _direction(angle), rng)[1:]))
    width = np.clip(rng.lognormal(np.log(4.2), 0.55), 2, 14) * _PIXEL
    patches = _fissure(path, width, ends_within, rng)
    for _ in range(min(rng.poisson(0.7), 3)):
        fork = path[rng.integers(len(path) // 4, 3 * len(path) // 4)]
        turn = angle + rng.choice((-1, 1)) * rng.uniform(0.5, 1.3)
        branch = _jagged_path(fork, fork + rng.uniform(0.2, 0.7) * _direction(turn), rng)
        patches += _fissure(branch, width * rng.uniform(0.3, 0.7), True, rng)
    # Only a narrow crack may be faint: a wide one lets no light reach its bottom.
    depth = rng.uniform(0.55 if width < 4 * _PIXEL else 0.7, 0.9)
    _carve(surface, patches, light, depth, lip=max(0, rng.uniform(-0.1, 0.3)), rim=max(1.5 * _PIXEL, width / 4))


def _jagged_path(start: Vectors, end: Vectors, rng: np.random.Generator) -> Vectors:
    """Displaces midpoints, level by level, by a normal share of the step's length; gives (65, 2) points."""
    sway = rng.uniform(0.08, 0.17)
    path = np.stack((start, end))
    for _ in range(6):
        steps = np.diff(path, axis=0)
        shifts = rng.normal(0, sway, steps.shape) * np.linalg.norm(steps, axis=1, keepdims=True)
        path = np.insert(path, range(1, len(path)), path[:-1] + steps / 2 + shifts, axis=0)
    return path


def _fissure(path: Vectors, width: float, tapers: bool, rng: np.random.Generator) -> list[Patch]:
    count = len(path)
    taper = np.clip(np.linspace(4, 0.2, count), 0, 1) if tapers else np.ones(count)
    swell = taper * width / 2 * np.exp(_wander(rng, count, 0.3, every=16))
    left, right = (swell * np.exp(_wander(rng, count, 0.4, every=4) + rng.normal(0, 0.15, count)) for _ in range(2))
    # The two sides have moved apart in one direction, so a stretch that runs that way opens less.
    opening = 0.6 * _normals(path[[0, -1]])[0] + 0.4 * _normals(path)
    darkness = np.clip(0.95 + _wander(rng, count, 0.15, every=8), 0.5, 1)
    return _ribbon(path + opening * left[:, None], path - opening * right[:, None], darkness)


def _stroke(start: Vectors, bend: Vectors, end: Vectors, width: float) -> list[Patch]:
    """A stroke of even width along a quadratic Bezier curve."""
    t = np.linspace(0, 1, 24)[:, None]
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    half = _normals(path) * width / 2
    return _ribbon(path + half, path - half, np.ones(len(path)))


def _ribbon(one_side: Vectors, other_side: Vectors, opacities: Vectors) -> list[Patch]:
    quads = np.stack((one_side[:-1], one_side[1:], other_side[1:], other_side[:-1]), axis=1)
    return list(zip(quads, opacities[1:].tolist(), strict=True))


def _normals(path: Vectors) -> Vectors:
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-9
    return np.column_stack((-tangents[:, 1], tangents[:, 0]))


def _wander(rng: np.random.Generator, count: int, scale: float, every: int) -> Vectors:
    knots = count // every
    return np.interp(np.linspace(0, knots - 1, count), np.arange(knots), rng.normal(0, scale, knots))


def _direction(angle: float) -> Vectors:
    return np.array([np.cos(angle), np.sin(angle)])


def _carve(surface: Planes, patches: list[Patch], light: Vectors, depth: float, lip: float, rim: float) -> None:
    """Darkens hollows (positive depth) or brightens ridges, less on the lit wall; brightens the lip."""
    hollow = _rasterise(patches, surface.shape[-1])
    shifted = _rasterise([(corners + rim * light, opacity) for corners, opacity in patches], surface.shape[-1])
    surface *= 1 + lip * np.maximum(shifted - hollow, 0)
    surface *= 1 - depth * hollow * (0.75 + 0.25 * shifted)


def _rasterise(patches: list[Patch], size: int) -> Plane:
    side = size * _SUPERSAMPLING
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    for corners, opacity in patches:
        draw.polygon((corners * side).ravel().tolist(), fill=round(255 * opacity))
    return np.asarray(canvas.reduce(_SUPERSAMPLING), dtype=np.float32) / 255


def _signed_distance(rng: np.random.Generator, size: int) -> Plane:
    """Distance of each pixel, in sides, from a random line through the image's middle."""
    ticks = np.linspace(0, 1, size, dtype=np.float32)
    (x, y), (across_x, across_y) = rng.uniform(0.2, 0.8, 2), _direction(rng.uniform(0, 2 * np.pi))
    return ((ticks - x) * across_x + (ticks - y)[:, None] * across_y).astype(np.float32)


def _noise(
    rng: np.random.Generator, size: int, octaves: tuple[int, ...], slant: float, stretch: float, falloff: float = 0.7
) -> Plane:
    """Smooth noise of mean 0 and deviation 1, summed over octaves (cells a side), drawn out along `slant`."""
    # The lattice is half as wide again as the photograph, so that the turned photograph still lies inside.
    cells = octaves[-1] * 3 // 2 + 4
    lattice = np.zeros((cells, cells), np.float32)
    for power, octave in enumerate(octaves):
        side = octave * 3 // 2 + 4
        layer = Image.fromarray(rng.standard_normal((side, side), dtype=np.float32))
        lattice += falloff**power * np.asarray(layer.resize((cells, cells), Image.Resampling.BICUBIC))
    # An affine map from pixels to cells, centre to centre: turned by `slant`, coarser along it.
    step, turn = octaves[-1] / size, _direction(slant)
    along, across = step / stretch * turn, step * np.array([-turn[1], turn[0]])
    affine = [*along, (cells - size * along.sum()) / 2, *across, (cells - size * across.sum()) / 2]
    turned = Image.fromarray(lattice).transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    noise = np.asarray(turned)
    return (noise - noise.mean()) / noise.std()
