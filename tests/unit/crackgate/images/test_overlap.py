"""Images that overlap are found by their names and their pixels; other places and other names are not."""

import io
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image, ImageDraw

from crackgate.images.copies.descriptor import COPY_THRESHOLD, describe, is_blank, similarities, similarity, stack
from crackgate.images.copies.groups import GroupCopies
from crackgate.images.copies.outline import BYTES as OUTLINE_BYTES
from crackgate.images.copies.overlap import name_codes, name_region, overlap
from crackgate.images.copies.partitions import from_bytes, pack, to_bytes
from crackgate.images.copies.places import SPOTS, place_codes
from crackgate.images.copies.search import COPIES, OVERLAPS, FindPairs, Pairs, pair
from crackgate.images.sample_data import draw_photograph

SIDE = 200


def _wall(seed: int, size: int = 320) -> Image.Image:
    return draw_photograph(cracked=seed % 2 == 1, rng=np.random.default_rng(seed), size=size).convert("L")


def _part(wall: Image.Image, left: int, top: int, turned: float = 0) -> bytes:
    if turned:
        wall = wall.rotate(turned, Image.Resampling.BICUBIC, center=(160, 160))
    return describe(np.asarray(wall.crop((left, top, left + SIDE, top + SIDE))))


def _overlap(one: bytes, other: bytes) -> bool:
    return bool(overlap(stack([one, other]), np.array([0]), np.array([1]))[0])


MOVES = {
    "not at all": (60, 60, 0),
    "2 %": (64, 63, 0),
    "2 % and 1 degree": (64, 63, 1),
    "10 %": (80, 72, 0),
    "half": (0, 20, 0),
}


@pytest.mark.parametrize(("left", "top", "turned"), MOVES.values(), ids=MOVES)
def test_a_photograph_taken_again_nearby_shows_the_same_place(left: int, top: int, turned: float) -> None:
    pairs = [(_part(wall, 60, 60), _part(wall, left, top, turned)) for wall in map(_wall, range(20))]
    assert sum(_overlap(one, other) for one, other in pairs) >= 19
    assert sum(_overlap(other, one) for one, other in pairs) >= 19


def test_it_is_no_copy_and_other_places_do_not_overlap() -> None:
    parts = [_part(_wall(seed), 60, 60) for seed in range(30)]
    assert similarity(parts[0], _part(_wall(0), 80, 72)) < COPY_THRESHOLD
    assert not any(_overlap(one, other) for one, other in combinations(parts, 2))


def _caption(image: Image.Image, number: int) -> Image.Image:
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 160, SIDE, SIDE), fill=0)
    draw.text((8, 170), f"PIER 4 {number}", fill=255)
    return image


def _mask(image: Image.Image, _number: int) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((20, 20, SIDE - 20, SIDE - 20), 255)
    return Image.composite(image, Image.new("L", image.size), mask)


@pytest.mark.parametrize("overlay", [_caption, _mask], ids=["caption", "mask"])
def test_a_common_overlay_is_no_common_place(overlay: Callable[[Image.Image, int], Image.Image]) -> None:
    parts = [describe(np.asarray(overlay(_wall(seed, SIDE), seed))) for seed in range(20)]
    assert not any(_overlap(one, other) for one, other in combinations(parts, 2))


def _pattern(name: str, seed: int) -> Image.Image:
    """Some place of a surface that looks alike everywhere, in some light, with a camera's noise."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (400, 400), 150)
    draw = ImageDraw.Draw(image)
    for row in range(0, 400, {"tiles": 40, "boards": 28, "bricks": 24}[name]):
        draw.line((0, row, 400, row), fill=90, width=2)
    for row, top in enumerate(range(0, 400, 24)):
        for left in range(row % 2 * 30 if name == "bricks" else 0, 400, 40 if name == "tiles" else 60):
            if name == "bricks":
                draw.rectangle((left + 2, top + 2, left + 57, top + 21), fill=int(rng.normal(125, 8)))
            elif name == "tiles":
                draw.line((left, 0, left, 400), fill=90, width=2)
            elif top % 120 == 0:
                draw.ellipse((left - 5, top + 9, left + 5, top + 19), fill=60)
    left, top = rng.integers(60, 120, 2).tolist()
    place = image.rotate(rng.uniform(-2, 2), Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE))
    pixels = np.asarray(place, np.float32) * rng.uniform(0.9, 1.1) + rng.normal(0, 5, (SIDE, SIDE))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", ["tiles", "boards", "bricks"])
def test_other_places_of_a_pattern_are_no_copies_and_share_no_place(name: str) -> None:
    images = [_pattern(name, seed) for seed in range(40)]
    parts = stack([describe(np.asarray(image)) for image in images])
    ones, others = np.triu_indices(len(parts), 1)
    assert (similarities(parts[ones], parts[others]) >= COPY_THRESHOLD).mean() < 0.005
    assert overlap(parts, ones, others).mean() < 0.005
    again = stack([describe(np.asarray(_encoded(image))) for image in images])
    assert (similarities(parts, again) >= COPY_THRESHOLD).mean() >= 0.75


def _encoded(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file, "JPEG", quality=60)
    return Image.open(file)


def test_less_than_half_in_common_and_turned_pictures_are_not_found() -> None:
    wall = _wall(3)
    assert not _overlap(_part(wall, 0, 0), _part(wall, 120, 60))
    assert not _overlap(_part(wall, 60, 60), _part(wall.transpose(Image.Transpose.ROTATE_90), 60, 60))


NEAR = [
    ("Crack/frame_0009.jpg", "Sound/frame_0010.jpg"),
    ("a/IMG_1.JPG", "b/c/IMG_3.JPG"),
    ("wall_r3_c4.png", "wall_r3_c5.png"),
    ("wall_r3_c4.png", "wall_r4_c4.png"),
    ("7.jpg", "8.png"),
    ("clip_30.jpg", "clip_60.jpg"),
    ("clip_00400.jpg", "clip_00500.jpg"),
]
FAR = [
    ("frame_0009.jpg", "frame_0019.jpg"),
    ("frame_9.jpg", "shot_9.jpg"),
    ("clip_31.jpg", "clip_61.jpg"),
    ("wall_r3_c4.png", "wall_r4_c5.png"),
    ("1/a.jpg", "2/a.jpg"),
    ("a.jpg", "a.jpg"),
]


@pytest.mark.parametrize(("one", "other"), NEAR)
def test_near_numbers_are_compared(one: str, other: str) -> None:
    assert set(name_codes(one.encode())) & set(name_codes(other.encode()))


@pytest.mark.parametrize(("one", "other"), FAR)
def test_other_names_are_not_compared(one: str, other: str) -> None:
    assert not set(name_codes(one.encode())) & set(name_codes(other.encode()))


@pytest.mark.parametrize("name", [b"", b"\xff9.jpg", b"." * 5, b"9" * 250 + b".jpg", b"\xd9\xa3.jpg"])
def test_odd_names_do_no_harm(name: bytes) -> None:
    assert all(0 <= code < 1 << 34 for code in name_codes(name))


def test_near_numbers_of_one_folder_share_a_region_which_spreads_long_sequences() -> None:
    regions = [name_region(b"Crack/clip 1/IMG_%04d.jpg" % number) for number in range(192)]
    assert len(set(regions)) == 3 and regions[0] == regions[63] != regions[64]
    assert name_region(b"Sound/clip 1/IMG_0001.jpg") == regions[0] != name_region(b"Crack/clip 2/IMG_0001.jpg")
    assert 0 <= name_region(b"\xff/no number") < 1 << 32


@pytest.mark.parametrize(("left", "top", "turned"), MOVES.values(), ids=MOVES)
def test_images_that_overlap_share_a_spot_and_other_places_hardly_any(left: int, top: int, turned: float) -> None:
    """Generated walls, all fine grain, have less distinct spots than photographs, of which nine in ten are found."""
    walls = list(map(_wall, range(20)))
    ones, others = (
        place_codes(stack([_part(wall, *place) for wall in walls])[:, OUTLINE_BYTES:])
        for place in ((60, 60, 0), (left, top, turned))
    )
    assert (ones.shape, ones.dtype) == ((20, SPOTS), np.uint32)
    shared = np.array([[bool(set(one) & set(other)) for other in others.tolist()] for one in ones.tolist()])
    assert shared.diagonal().sum() >= 8
    assert shared[~np.eye(20, dtype=bool)].sum() <= 8


def test_a_code_depends_on_its_image_alone() -> None:
    details = stack([_part(_wall(seed), 60, 60) for seed in range(3)])[:, OUTLINE_BYTES:]
    together = place_codes(np.tile(details, (40, 1)))
    assert all(np.array_equal(together[at], place_codes(details[at % 3][None])[0]) for at in (0, 1, 2, 63, 64, 119))
    assert place_codes(details[:0]).shape == (0, SPOTS)


def test_a_spot_that_many_images_share_is_dropped() -> None:
    digests = from_bytes([bytes([number]) * 16 for number in range(1, 18)])
    spot, name = 1 << 35, 7
    assert len(pair(np.full(16, spot, np.uint64), digests[:16])[0]) == 120
    assert not len(pair(np.full(17, spot, np.uint64), digests)[0])
    assert len(pair(np.full(17, name, np.uint64), digests)[0]) == 4 * 13 + 6


def _pipeline() -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(runner="FnApiRunner", direct_running_mode="in_memory"))


def test_a_walk_along_a_wall_becomes_one_group_and_other_images_none(tmp_path: Path) -> None:
    """Each frame overlaps with the next, and no longer with the one after the next but one."""
    wall = _wall(4, 900)
    frames = {f"Crack/frame_{number}.jpg": _part(wall, 70 * number, 10) for number in range(10)}
    others = {f"Sound/frame_{number}.jpg": _part(_wall(50 + number), 0, 0) for number in range(10)}
    # The same places; their pixels say so, and no name.
    unnumbered = {f"Sound/{'abc'[number]}.jpg": _part(wall, 70 * number + 35, 60) for number in range(3)}
    blank = {"Sound/frame_3.png": describe(np.full((SIDE, SIDE), 90, np.uint8))}
    images = frames | others | unnumbered | blank
    assert sum(map(is_blank, images.values())) == 1
    table = pack(list(images.values()), [name.encode() for name in images])
    with _pipeline() as pipeline:
        tables = pipeline | beam.Create([table.take(np.arange(first, len(images), 2)) for first in (0, 1)])
        pairs = tables | FindPairs(3, str(tmp_path), COPIES, OVERLAPS)
        assert_that(pairs[COPIES.name] | beam.combiners.Count.Globally(), equal_to([0]), label="Copies")
        centres = pairs[OVERLAPS.name] | GroupCopies(3, str(tmp_path))
        pictures = centres | beam.FlatMapTuple(lambda _, edges: to_bytes(edges[0]) + to_bytes(edges[1]))
        walked = [at for at, name in enumerate(images) if name in frames | unnumbered]
        expected = set(to_bytes(table.digests[walked]))
        assert_that(pictures | beam.Distinct(), equal_to(sorted(expected)))


@pytest.mark.parametrize("layout", ["Crack/clip{}", "clip{}/Crack", "site{}/clip"])
def test_many_videos_with_equal_names_are_told_apart_by_their_folders(layout: str, tmp_path: Path) -> None:
    walls = [_wall(seed, 420) for seed in range(8)]
    images = {
        f"{layout.format(video)}/frame_{number:04d}.jpg": _part(wall, 70 * number, 10)
        for video, wall in enumerate(walls)
        for number in range(4)
    }
    table = pack(list(images.values()), [name.encode() for name in images])
    with _pipeline() as pipeline:
        similar = (pipeline | beam.Create([table]) | FindPairs(3, str(tmp_path), OVERLAPS))[OVERLAPS.name]
        centres = similar | GroupCopies(3, str(tmp_path))
        sizes = centres | beam.FlatMapTuple(lambda _, edges: to_bytes(edges[1])) | beam.combiners.Count.PerElement()
        assert_that(sizes | beam.Values(), equal_to([3] * len(walls)))


def test_a_video_whose_frames_are_in_two_classes_is_compared_among_many() -> None:
    assert len(set(name_codes(b"Crack/clip 1/0008.jpg")) & set(name_codes(b"Sound/clip 1/0009.jpg"))) > len(
        set(name_codes(b"Crack/clip 1/0008.jpg")) & set(name_codes(b"Sound/clip 2/0009.jpg"))
    )


def test_a_chain_of_thousands_of_frames_is_joined_and_copies_among_them_by_themselves(tmp_path: Path) -> None:
    names = [number.to_bytes(4, "big") + bytes(12) for number in np.random.default_rng(0).permutation(3000).tolist()]
    pairs = [tuple(sorted(pair)) for pair in pairwise(names)]
    with _pipeline() as pipeline:
        edges = Pairs(OVERLAPS.name, *(from_bytes(side) for side in zip(*pairs, strict=True)), names=[])
        copies = Pairs(COPIES.name, from_bytes([min(names)]), from_bytes([max(names)]), names=[])
        centres = pipeline | beam.Create([edges, copies]) | GroupCopies(2, str(tmp_path))
        apart = centres | "Apart" >> beam.FlatMapTuple(lambda _, found: zip(*map(to_bytes, found[::2]), strict=True))
        copied = {max(names): min(names)}
        assert_that(apart, equal_to([(name, copied.get(name, name)) for name in names if name != min(names)]), "Copies")
        found = centres | beam.FlatMapTuple(lambda _, edges: to_bytes(edges[1])) | beam.combiners.Count.PerElement()
        assert_that(found, equal_to([(min(names), 2999)]))


def _encoded(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return Image.open(buffer)


def test_compression_hides_no_common_place() -> None:
    walls = [_wall(seed) for seed in range(10)]
    found = [
        _overlap(
            _part(wall, 60, 60), describe(np.asarray(_encoded(wall.crop((70, 66, 70 + SIDE, 66 + SIDE))).convert("L")))
        )
        for wall in walls
    ]
    assert sum(found) >= 9
