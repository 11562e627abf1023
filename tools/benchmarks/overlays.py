"""What cameras, phones and reports put over photographs, alike in all of a set; no two become copies by it."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# From a photograph and its number in the set to the photograph with the overlay.
Overlay = Callable[[Image.Image, int], Image.Image]

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def _drawn(draw: Callable[[ImageDraw.ImageDraw, int, int, int], None]) -> Overlay:
    """`draw` takes the canvas, its width and height, and the photograph's number."""

    def overlay(photograph: Image.Image, number: int) -> Image.Image:
        image = photograph.copy()
        draw(ImageDraw.Draw(image), *image.size, number)
        return _saved(image)

    return overlay


def _framed(left: int, top: int, right: int, bottom: int, colour: tuple[int, int, int], varied: int = 0) -> Overlay:
    """Borders, in hundredths of the photograph's side; up to `varied` hundredths more by its number."""

    def overlay(photograph: Image.Image, number: int) -> Image.Image:
        more = number * 7 % (varied + 1)
        widths = [round((side + more) * photograph.width / 100) for side in (left, top, right, bottom)]
        size = photograph.width + widths[0] + widths[2], photograph.height + widths[1] + widths[3]
        image = Image.new("RGB", size, colour)
        image.paste(photograph, (widths[0], widths[1]))
        return _saved(image)

    return overlay


def _round_mask(share: float) -> Overlay:
    """A circle over this share of the width, as of a borescope."""

    def overlay(photograph: Image.Image, _number: int) -> Image.Image:
        width, height = photograph.size
        mask = Image.new("L", photograph.size)
        margin = (1 - share) / 2
        box = (width * margin, height * margin, width * (1 - margin), height * (1 - margin))
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        return _saved(Image.composite(photograph, Image.new("RGB", photograph.size), mask))

    return overlay


def _shaded(shade: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Overlay:
    """`shade` gives the share of light that is left at coordinates y and x, both from -1 to 1."""

    def overlay(photograph: Image.Image, _number: int) -> Image.Image:
        y, x = np.mgrid[-1 : 1 : photograph.height * 1j, -1 : 1 : photograph.width * 1j]
        return _saved(Image.fromarray((np.asarray(photograph) * shade(y, x)[..., None]).astype(np.uint8)))

    return overlay


def _watermark(photograph: Image.Image, _number: int) -> Image.Image:
    mark = Image.new("RGBA", photograph.size)
    font = ImageFont.load_default(size=photograph.width / 6)
    ImageDraw.Draw(mark).text((photograph.width / 20, photograph.height * 0.4), "SAMPLE", (*_WHITE, 110), font)
    return _saved(Image.alpha_composite(photograph.convert("RGBA"), mark.rotate(20)).convert("RGB"))


def _dust(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    spots = [
        1 - 0.25 * np.exp(-((y - down) ** 2 + (x - across) ** 2) / (2 * size**2))
        for down, across, size in zip(
            rng.uniform(-1, 1, 30), rng.uniform(-1, 1, 30), rng.uniform(0.02, 0.05, 30), strict=True
        )
    ]
    return np.prod(spots, axis=0)


def _corner(canvas: ImageDraw.ImageDraw, width: int, height: int, _number: int) -> None:
    canvas.polygon([(0, 0), (width / 2, 0), (0, height / 2)], _BLACK)


def _caption(canvas: ImageDraw.ImageDraw, width: int, height: int, number: int) -> None:
    canvas.rectangle((0, height * 0.92, width, height), _BLACK)
    canvas.text((4, height * 0.93), f"SPAN 3 NO {number:05d}", _WHITE)


def _scale_bar(canvas: ImageDraw.ImageDraw, width: int, height: int, _number: int) -> None:
    canvas.rectangle((width * 0.56, height * 0.9, width * 0.97, height * 0.98), _WHITE)
    for part in range(5):
        left = width * (0.58 + 0.075 * part)
        canvas.rectangle((left, height * 0.92, left + width * 0.075, height * 0.96), (_BLACK, _WHITE)[part % 2], _BLACK)


def _logo(canvas: ImageDraw.ImageDraw, width: int, height: int, _number: int) -> None:
    canvas.ellipse((width * 0.66, height * 0.04, width * 0.95, height * 0.33), (200, 30, 30))
    canvas.rectangle((width * 0.72, height * 0.13, width * 0.88, height * 0.22), _WHITE)
    canvas.text((width * 0.74, height * 0.14), "ACME", _BLACK)


def _date(canvas: ImageDraw.ImageDraw, width: int, height: int, number: int) -> None:
    canvas.text((width * 0.45, height * 0.9), f"2021-0{1 + number % 9}-1{number % 10} 1{number % 7}:30", (255, 140, 0))


def _ruler(canvas: ImageDraw.ImageDraw, width: int, height: int, _number: int) -> None:
    canvas.rectangle((0, 0, width * 0.15, height), (240, 220, 60))
    for line in range(0, height, 6):
        canvas.line((0, line, width * (0.13 if line % 30 == 0 else 0.06), line), _BLACK, 2)


def _saved(image: Image.Image, quality: int = 92) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


OVERLAYS: dict[str, Overlay] = {
    "black bars": _framed(0, 17, 0, 17, _BLACK),
    "white border of varied width": _framed(2, 2, 2, 2, _WHITE, varied=18),
    "page with a wide margin": _framed(25, 15, 25, 40, (230, 230, 220)),
    "round mask": _round_mask(0.91),
    "narrow round mask": _round_mask(0.56),
    "black corner": _drawn(_corner),
    "caption": _drawn(_caption),
    "scale bar": _drawn(_scale_bar),
    "logo": _drawn(_logo),
    "date stamp": _drawn(_date),
    "ruler at one side": _drawn(_ruler),
    "watermark": _watermark,
    "vignette": _shaded(lambda y, x: np.clip(1.15 - 0.6 * (x * x + y * y) ** 1.5, 0.05, 1)),
    "gradient of light": _shaded(lambda _, x: 0.15 + 0.85 * np.maximum((x + 1) / 2, -x)),
    "dust on the lens": _shaded(_dust),
    "JPEG 10": lambda photograph, _: _saved(photograph, 10),
}
