"""Threads read images: the outcome is the same whatever their number and the batches, and failures end the bundle."""

import io
import json
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf

from components.image_example_gen import staged_examples
from components.image_example_gen.manifest import BatchPlace
from components.image_example_gen.read_step import ReadImages
from components.image_example_gen.staged_examples import Reader
from crackgate.config.data import DataOptions
from crackgate.contracts import stored_example
from crackgate.contracts.image_limits import ImageLimits
from crackgate.data_set.data_set import ListedImage, find_data_set
from tests.helpers.image_files import small_picture
from tests.helpers.ingested import bytes_of, draw


@pytest.fixture
def folder(tmp_path: Path, photographs: Path) -> Path:
    """The photographs with files among them that are rejected, have warnings or are no plain JPEGs."""
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    (data / "Negative" / "empty.jpg").touch()
    (data / "Negative" / os.fsdecode(b"no image \xe9.png")).write_bytes(b"no image")
    (data / "beside.jpg").write_bytes((data / "Negative" / "00001.jpg").read_bytes())
    whole = (data / "Positive" / "00001.jpg").read_bytes()
    (data / "Positive" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (data / "Positive" / "gone.jpg").symlink_to("nowhere")
    draw(1).save(data / "Positive" / "frames.gif", save_all=True, append_images=[draw(2)])
    draw(3).save(data / "Positive" / "turned.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0")
    draw(4).convert("CMYK").save(data / "Positive" / "printed.jpg")
    return data


@contextmanager
def _one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _listed(folder: Path) -> list[ListedImage]:
    return find_data_set(folder, DataOptions()).images


def _place(number: int, images: list[ListedImage], folder: Path) -> BatchPlace:
    """A manifest with one batch."""
    file, batch = folder / f"{number}.manifest", json.dumps([astuple(image) for image in images])
    file.write_text(batch)
    return BatchPlace(number, str(file), 0, len(batch))


def _stage(folder: Path, staging: Path, images: list[ListedImage], size: int) -> list[Any]:
    """The outputs of one bundle, as Beam would call the step, of batches of so many images."""
    staging.mkdir()
    read = ReadImages(str(folder), ["Negative", "Positive"], ImageLimits(), str(staging))
    read.setup()
    try:
        read.start_bundle()
        starts = range(0, len(images), size)
        batches = [_place(start // size, images[start : start + size], staging.parent) for start in starts]
        outputs = [output for batch in batches for output in read.process(batch)]
        return outputs + [_without_time(output) for output in read.finish_bundle()]
    finally:
        read.teardown()


def _without_time(output: Any) -> Any:
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, output.value.value)
    return output.value


def _examples(outputs: list[Any]) -> dict[bytes, bytes]:
    """Serialized examples by path."""
    found = {}
    for output in outputs:
        if isinstance(output, beam.pvalue.TaggedOutput):
            continue
        for name, place in zip(output.names, output.places, strict=True):
            with open(place.file, "rb") as content:
                content.seek(place.offset)
                found[name] = content.read(place.size)
    return found


def _rows(outputs: list[Any]) -> list[tuple[str, str]]:
    tagged = [output for output in outputs if isinstance(output, beam.pvalue.TaggedOutput)]
    assert {output.tag for output in tagged} == {"rows"}
    return sorted((outcome, str(row)) for outcome, row in (output.value for output in tagged))


def test_batches_and_threads_change_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _listed(folder)
    with _one_core():
        alone = _stage(folder, tmp_path / "alone", images, len(images))
    shared = _stage(folder, tmp_path / "shared", images[::-1], 3)
    # Each image is described and written alone.
    monkeypatch.setattr(staged_examples, "_BYTES_WAITING", 0)
    singly = _stage(folder, tmp_path / "singly", images, 7)
    assert _examples(alone) == _examples(shared) == _examples(singly)
    assert _rows(alone) == _rows(shared) == _rows(singly)
    assert [outcome for outcome, _ in _rows(alone)] == ["rejected"] * 5 + ["warning"]
    for path, serialized in _examples(alone).items():
        assert bytes_of(tf.train.Example.FromString(serialized), stored_example.FILENAME) == path


def test_outcomes_come_in_the_order_of_the_batches(folder: Path, tmp_path: Path) -> None:
    outputs = _stage(folder, tmp_path / "staging", _listed(folder), 2)
    numbers = [output.places[0].batch for output in outputs if not isinstance(output, beam.pvalue.TaggedOutput)]
    assert numbers == sorted(numbers)
    assert len(numbers) > 4


def test_a_staging_folder_that_is_gone_ends_the_bundle(folder: Path, tmp_path: Path) -> None:
    images = _listed(folder)
    read = ReadImages(str(folder), ["Negative", "Positive"], ImageLimits(), str(tmp_path / "data" / "beside.jpg"))
    read.setup()
    read.start_bundle()
    with pytest.raises(Exception, match=r"beside\.jpg"):
        for number in range(20):
            list(read.process(_place(number, images, tmp_path)))
    read.teardown()


def test_threads_of_an_interrupted_run_end_with_an_image_and_not_with_a_batch(folder: Path, tmp_path: Path) -> None:
    images = _listed(folder)
    _stage(folder, tmp_path / "whole", images, len(images))
    (tmp_path / "cut").mkdir()
    read = ReadImages(str(folder), ["Negative", "Positive"], ImageLimits(), str(tmp_path / "cut"))
    read.setup()
    read.start_bundle()
    assert not list(read.process(_place(0, images * 100, tmp_path)))
    read.teardown()
    whole, cut = (sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in ("whole", "cut"))
    assert cut < 10 * whole


def test_the_pixels_of_an_image_do_not_wait_for_the_next_one(tmp_path: Path) -> None:
    side = 3_000
    small_picture().convert("L").resize((side, side)).save(tmp_path / "wall.jpg")
    reader = Reader(str(tmp_path), {"wall": 0}, ImageLimits())

    def peak(count: int) -> int:
        tracemalloc.start()
        reader.stage(0, [ListedImage("wall.jpg", "wall")] * count, "", io.BytesIO())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(2) < peak(1) + side * side // 2
