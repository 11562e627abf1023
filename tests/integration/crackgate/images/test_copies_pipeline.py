"""Copies among many images are found and grouped by Beam; components/test_hostile_folder.py has several processes."""

import io
import os
import random
import tempfile
from ast import literal_eval
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image, ImageEnhance, ImageOps

from crackgate.images.copies.descriptor import describe
from crackgate.images.copies.groups import GroupCopies
from crackgate.images.copies.partitions import pack, to_bytes
from crackgate.images.copies.search import COPIES, FindPairs
from crackgate.images.sample_data import draw_photograph

PROJECT = Path(__file__).resolve().parents[4]
PHOTOGRAPHS = Path(os.environ.get("CRACKGATE_PHOTOGRAPHS", PROJECT.parent / "shared" / "data" / "concrete"))
PHOTOGRAPHS_PER_CLASS = 150

Described = dict[bytes, bytes]
Groups = dict[bytes, bytes]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "identical": lambda image: image,
    "jpeg": lambda image: _jpeg(image, 50),
    "half": lambda image: _resized(image, 0.5),
    "double": lambda image: _resized(image, 2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "gamma": lambda image: image.point([round(255 * (value / 255) ** 1.3) for value in range(256)] * 3),
    "grayscale": ImageOps.grayscale,
    **{method.name: methodcaller("transpose", method) for method in Image.Transpose},
    "turned jpeg": lambda image: _jpeg(image.transpose(Image.Transpose.ROTATE_90), 60),
    "mirrored darker": lambda image: ImageEnhance.Brightness(ImageOps.mirror(image)).enhance(0.8),
    "flipped smaller": lambda image: _resized(ImageOps.flip(image), 0.7),
}


def _describe(image: Image.Image) -> bytes:
    return describe(np.asarray(image.convert("L")))


def _find_groups(described: Described, folder: Path) -> Groups:
    """The smallest key in the group of each, given the images in some order."""
    options = PipelineOptions(runner="FnApiRunner")
    files = Path(tempfile.mkdtemp(dir=folder))
    with beam.Pipeline(options=options) as pipeline:
        order = random.Random(1).sample(list(described.items()), len(described))
        parts = [order[start : start + 25] for start in range(0, len(order), 25)]
        images = pipeline | beam.Create(
            [pack([image for _, image in part], [key for key, _ in part]) for part in parts]
        )
        centres = (images | FindPairs(4, str(folder), COPIES))[COPIES.name] | GroupCopies(4, str(folder))
        lines = centres | beam.MapTuple(lambda _, edges: repr([to_bytes(side) for side in edges[:2]]))
        _ = lines | beam.io.WriteToText(str(files / "centres"))
    ties = [literal_eval(line) for path in files.iterdir() for line in path.read_text().splitlines()]
    centre_of = {one: centre for edges in ties for one, centre in zip(*edges, strict=True)}
    pictures = {key: to_bytes(pack([image], [key]).digests)[0] for key, image in described.items()}
    groups: dict[bytes, list[bytes]] = {}
    for key, picture in pictures.items():
        groups.setdefault(centre_of.get(picture, picture), []).append(key)
    return {key: min(keys) for keys in groups.values() for key in keys}


def test_planted_copies_are_grouped(tmp_path: Path) -> None:
    described, planted = {}, {}
    names = sorted(CHANGES)
    for seed in range(20):
        photograph = draw_photograph(cracked=seed % 2 == 1, rng=np.random.default_rng(seed), size=128)
        # From no copy to four.
        copies = [names[(seed * 3 + number) % len(names)] for number in range(seed % 5)]
        for number, name in enumerate(["identical", *copies]):
            key = b"photograph %02d, %d, %s" % (seed, number, name.encode())
            described[key] = _describe(CHANGES[name](photograph))
            planted[key] = b"photograph %02d, 0, identical" % seed
    assert len(described) == 60
    assert _find_groups(described, tmp_path) == planted


@pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(),
    reason=f"no real photographs in {PHOTOGRAPHS}: set CRACKGATE_PHOTOGRAPHS to a folder with one sub-folder per class",
)
def test_copies_of_real_photographs_join_their_originals_and_nothing_else(tmp_path: Path) -> None:
    originals, copies = {}, {}
    for label in sorted(path for path in PHOTOGRAPHS.iterdir() if path.is_dir()):
        for file in random.Random(0).sample(sorted(label.iterdir()), PHOTOGRAPHS_PER_CLASS):
            with Image.open(file) as image:
                photograph = image.convert("RGB")
            key = f"{label.name}/{file.name}".encode()
            originals[key] = _describe(photograph)
            name = list(CHANGES)[len(originals) % len(CHANGES)]
            copies[key, name] = _describe(CHANGES[name](photograph))
    alone = _find_groups(originals, tmp_path)
    # Behind every name of an original in sorted order, so that the groups keep their names.
    together = _find_groups(originals | {b"~" + key: copy for (key, _), copy in copies.items()}, tmp_path)
    assert {key: together[key] for key in originals} == alone
    assert [(key, name) for key, name in copies if together[b"~" + key] != alone[key]] == []
