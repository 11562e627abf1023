"""Copies of one photograph are recognised whatever was done to it; groups are exact, whatever the order and shape."""

import io
import pickle
import random
import tempfile
from collections.abc import Callable, Iterable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to, is_empty
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crackgate.images.copies import groups, search
from crackgate.images.copies.descriptor import (
    COPY_THRESHOLD,
    DESCRIPTOR_BYTES,
    describe,
    is_blank,
    share_a_band,
    similarity,
)
from crackgate.images.copies.descriptor_files import StoredPictures, load, store
from crackgate.images.copies.groups import GroupCopies
from crackgate.images.copies.partitions import PictureTable, count_partitions, from_bytes, pack, partition, to_bytes
from crackgate.images.copies.search import COPIES, FindPairs, Pairs, pair
from crackgate.images.sample_data import draw_photograph

Groups = list[tuple[int, int]]

ORIENTATIONS: list[Image.Transpose | None] = [None, *Image.Transpose]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def _resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def _gamma(image: Image.Image, exponent: float) -> Image.Image:
    return image.point([round(255 * (value / 255) ** exponent) for value in range(256)] * 3)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda image: image,
    "jpeg": lambda image: _jpeg(image, 60),
    "smaller": lambda image: _resized(image, 0.5),
    "larger": lambda image: _resized(image, 1.9),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "gamma": lambda image: _gamma(image, 1.3),
    "grayscale": ImageOps.grayscale,
    "darker jpeg": lambda image: _jpeg(ImageEnhance.Brightness(image).enhance(0.8), 75),
}


def _describe(image: Image.Image) -> bytes:
    return describe(np.asarray(image.convert("L")))


def _photograph(seed: int, size: int = 128) -> Image.Image:
    return draw_photograph(cracked=seed % 2 == 1, rng=np.random.default_rng(seed), size=size)


def _are_copies(one: bytes, other: bytes) -> bool:
    return similarity(one, other) >= COPY_THRESHOLD and share_a_band(one, other)


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(ORIENTATIONS), st.sampled_from(sorted(CHANGES)))
def test_a_copy_is_recognised(seed: int, orientation: Image.Transpose | None, change: str) -> None:
    photograph = _photograph(seed)
    turned = photograph if orientation is None else photograph.transpose(orientation)
    assert _are_copies(_describe(photograph), _describe(CHANGES[change](turned)))


@pytest.mark.parametrize("size", [32, 64, 128])
def test_different_photographs_are_not_copies(size: int) -> None:
    described = [_describe(_photograph(seed, size)) for seed in range(60)]
    assert max(similarity(one, other) for one, other in combinations(described, 2)) < COPY_THRESHOLD


def _bars(image: Image.Image, _number: int) -> Image.Image:
    return ImageOps.expand(image, (0, image.height // 4), fill=0)


def _border(image: Image.Image, number: int) -> Image.Image:
    return ImageOps.expand(image, 4 + number % 20, fill="white")


def _mask(image: Image.Image, _number: int) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse(
        (image.width // 8, image.height // 8, image.width * 7 // 8, image.height * 7 // 8), 255
    )
    return Image.composite(image, Image.new("RGB", image.size), mask)


def _corner(image: Image.Image, _number: int) -> Image.Image:
    ImageDraw.Draw(image).polygon([(0, 0), (image.width // 2, 0), (0, image.height // 2)], fill="black")
    return image


def _caption(image: Image.Image, number: int) -> Image.Image:
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, image.height * 7 // 8, *image.size), fill="black")
    canvas.text((2, image.height * 7 // 8), f"SPAN {number:03d}", fill="white")
    return image


def _logo(image: Image.Image, _number: int) -> Image.Image:
    ImageDraw.Draw(image).ellipse((4, 4, image.width // 3, image.height // 3), fill=(200, 30, 30))
    return image


def _vignette(image: Image.Image, _number: int) -> Image.Image:
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    light = np.clip(1.15 - 0.6 * (x * x + y * y) ** 1.5, 0.05, 1)
    return Image.fromarray((np.asarray(image) * light[..., None]).astype(np.uint8))


OVERLAYS = [_bars, _border, _mask, _corner, _caption, _logo, _vignette]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_all_photographs_share_makes_no_copies(
    overlay: Callable[[Image.Image, int], Image.Image],
) -> None:
    overlaid = [_jpeg(overlay(_photograph(seed), seed), 92) for seed in range(40)]
    described = [_describe(image) for image in overlaid]
    assert max(similarity(one, other) for one, other in combinations(described, 2)) < COPY_THRESHOLD


@pytest.mark.parametrize("overlay", [_mask, _caption])
def test_what_all_photographs_share_hides_no_copies(
    overlay: Callable[[Image.Image, int], Image.Image], tmp_path: Path
) -> None:
    overlaid = [_jpeg(overlay(_photograph(seed), seed), 92) for seed in range(40)]
    described = [_describe(image) for image in overlaid]
    copies = [_describe(_jpeg(ImageOps.mirror(image), 70)) for image in overlaid]
    # Some bands hold all images, each of which is compared with four only; others tell the photographs apart.
    _expect_found_groups(list(enumerate(described + copies)), [{number, number + 40} for number in range(40)], tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_without_its_border_resembles_its_original(seed: int) -> None:
    photograph = _photograph(seed)
    copy = ImageOps.crop(photograph, round(photograph.width * 0.02)).transpose(Image.Transpose.ROTATE_90)
    assert similarity(_describe(photograph), _describe(copy)) >= COPY_THRESHOLD


def test_pictures_with_next_to_no_texture_in_common_are_no_copies() -> None:
    one, other = (np.full((128, 128), 128, np.uint8) for _ in range(2))
    one[:, :20], other[:, -20:] = _noise(128, 20), _noise(128, 20)
    one[:20, 100:], other[:20, 100:] = 0, 0
    assert similarity(describe(one), describe(other)) < COPY_THRESHOLD


def test_the_light_alone_does_not_make_a_copy() -> None:
    y, x = np.mgrid[-1:1:227j, -1:1:227j]
    light = 150 + 50 * x - 20 * y - 30 * (x * x + y * y)
    walls = [light + np.random.default_rng(seed).normal(0, 8, light.shape) for seed in range(2)]
    one, other = (describe(wall.clip(0, 255).astype(np.uint8)) for wall in walls)
    assert abs(similarity(one, other)) < 0.4


@settings(max_examples=40, deadline=None)
@given(st.integers(32, 300), st.integers(32, 300), st.integers(0, 3), st.booleans())
def test_turning_and_mirroring_change_nothing_at_any_size(height: int, width: int, turns: int, mirrored: bool) -> None:
    grey = _noise(height, width)
    copy = np.rot90(grey.T if mirrored else grey, turns)
    assert similarity(describe(grey), describe(copy)) > 0.99
    assert share_a_band(describe(grey), describe(copy))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (32, 5000), (3000, 40)])
def test_any_shape_is_described(height: int, width: int) -> None:
    grey = _noise(height, width)
    assert similarity(describe(grey), describe(grey)) == pytest.approx(1)


def test_a_large_image_is_described_like_a_small_one() -> None:
    large = _photograph(1, 1280)
    assert similarity(_describe(large), _describe(large.resize((128, 128), Image.Resampling.BOX))) > 0.9
    grey = _noise(64, 48)
    # Only the small one is smoothed, by a part of a pixel: noise suffers more than a photograph.
    assert similarity(describe(grey), describe(grey.repeat(20, axis=0).repeat(20, axis=1))) > 0.6


def test_a_blank_image_is_a_copy_of_an_identical_one_only() -> None:
    blank, faint = np.full((64, 64), 200, np.uint8), np.full((64, 64), 200, np.uint8)
    faint[5, 5] = 201
    assert is_blank(describe(blank)) and is_blank(describe(faint))
    assert similarity(describe(blank), describe(blank.copy())) == 1
    assert similarity(describe(blank), describe(faint)) == 0
    assert similarity(describe(blank), describe(_noise(64, 64))) == 0
    assert describe(blank) != describe(blank.reshape(32, 128))
    assert not share_a_band(describe(blank), describe(blank))


@pytest.mark.parametrize(
    "grey", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)]
)
def test_what_is_not_a_grey_image_is_refused(grey: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        describe(grey)


def _pipeline() -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(runner="FnApiRunner", direct_running_mode="in_memory"))


def _digest(number: int) -> bytes:
    """Ordered as the numbers are, over several partitions; with zeros and blanks behind, which must not get lost."""
    return (number * 200_000).to_bytes(4, "big") + b"digest    \0\0"


def _expect_groups(edges: Iterable[tuple[int, int]], expected: Groups, partitions: int = 3) -> None:
    """`expected` are the pictures that are not themselves the centre of their group, with that centre."""
    edges = [(min(edge), max(edge)) for edge in edges]
    parts = [edges[start : start + 50] for start in range(0, len(edges), 50)]
    pairs = [
        Pairs(COPIES.name, *(from_bytes(map(_digest, side)) for side in zip(*part, strict=True)), names=[])
        for part in parts
    ]
    with tempfile.TemporaryDirectory() as folder, _pipeline() as pipeline:
        centres = pipeline | beam.Create(pairs) | GroupCopies(partitions, folder) | beam.FlatMapTuple(_ties)
        assert_that(centres, equal_to([(_digest(one), _digest(centre)) for one, centre in expected]))


def _ties(_number: int, centres_of: groups.Centres) -> list[tuple[bytes, bytes]]:
    pictures, centres, of_copies = centres_of
    # All pairs are of copies.
    assert to_bytes(of_copies) == to_bytes(centres)
    return list(zip(to_bytes(pictures), to_bytes(centres), strict=True))


def _components(count: int, edges: list[tuple[int, int]]) -> Groups:
    """The same by SciPy."""
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    _, labels = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), (count, count)), directed=False)
    smallest: dict[int, int] = {}
    for node, label in enumerate(labels.tolist()):
        smallest.setdefault(label, node)
    return [(node, smallest[label]) for node, label in enumerate(labels.tolist()) if node != smallest[label]]


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 300))
    nodes = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(nodes, nodes).filter(lambda edge: edge[0] != edge[1]), max_size=400))
    return count, edges


@settings(max_examples=5, deadline=None)
@given(_graphs(), st.integers(1, 40))
def test_groups_are_the_connected_components(graph: tuple[int, list[tuple[int, int]]], partitions: int) -> None:
    count, edges = graph
    _expect_groups(edges, _components(count, edges), partitions)


def _zigzag(nodes: range) -> list[int]:
    """The smallest, the largest, the second smallest, ..."""
    return [node for ends in zip(nodes, reversed(nodes), strict=True) for node in ends][: len(nodes)]


def test_long_chains_are_joined_up() -> None:
    sizes = range(1000), range(1000, 2000), range(2000, 3000)
    orders = [list(sizes[0]), _zigzag(sizes[1]), random.Random(0).sample(sizes[2], 1000)]
    edges = [edge for order in orders for edge in pairwise(order)]
    _expect_groups(edges, _components(3000, edges))


def test_the_order_of_the_images_and_the_partitions_do_not_matter(tmp_path: Path) -> None:
    images = [_describe(change(_photograph(seed))) for seed in range(4) for change in CHANGES.values()]
    described = list(enumerate(images))
    expected = [set(range(start, start + len(CHANGES))) for start in range(0, len(images), len(CHANGES))]
    for seed, partitions in enumerate((1, 7)):
        _expect_found_groups(random.Random(seed).sample(described, len(described)), expected, tmp_path, partitions)


def test_a_star_of_many_copies_is_one_group() -> None:
    _expect_groups([(1999, node) for node in range(1999)], [(node, 0) for node in range(1, 2000)])


def test_a_long_chain_is_one_group() -> None:
    _expect_groups(pairwise(range(20_000)), [(node, 0) for node in range(1, 20_000)])


def _name(number: int) -> bytes:
    return b"%07d" % number


def _batches(described: list[tuple[int, bytes]]) -> list[PictureTable]:
    parts = [described[start : start + 100] for start in range(0, len(described), 100)]
    return [pack([image for _, image in part], [_name(number) for number, _ in part]) for part in parts]


def _expect_found_groups(
    described: list[tuple[int, bytes]], expected: list[set[int]], folder: Path, partitions: int = 3
) -> None:
    """That the images with pairs between them, of the same picture or of similar ones, are those groups."""
    with _pipeline() as pipeline:
        images = pipeline | beam.Create(_batches(described))
        copies = images | FindPairs(partitions, str(folder), COPIES)
        pairs = (copies[COPIES.name] | beam.Map(lambda pairs: pairs.names), copies["same"]) | beam.Flatten()
        assert_that(
            pairs | "Pairs" >> beam.combiners.ToList(), _joins({frozenset(map(_name, group)) for group in expected})
        )
        # The same by the groups of pictures.
        centres = (
            copies[COPIES.name]
            | GroupCopies(partitions, str(folder))
            | beam.FlatMapTuple(_ties)
            | beam.combiners.ToList()
        )
        assert_that(centres, _centres_of(described, expected), label="Centres")


def _joins(expected: set[frozenset[bytes]]) -> Callable[[Any], None]:
    def check(found: list[list[list[tuple[bytes, bytes]]]]) -> None:
        names = sorted(name for group in expected for name in group)
        numbers = {name: number for number, name in enumerate(names)}
        edges = [(numbers[one], numbers[other]) for lists in found for pairs in lists for one, other in pairs]
        groups: dict[int, set[bytes]] = {name: {names[name]} for name in range(len(names))}
        for node, centre in _components(len(names), edges):
            groups[centre] |= groups.pop(node)
        assert set(map(frozenset, groups.values())) == expected

    return check


def _centres_of(described: list[tuple[int, bytes]], expected: list[set[int]]) -> Callable[[Any], None]:
    pictures = {number: to_bytes(pack([image], [b""]).digests)[0] for number, image in described}

    def check(found: list[list[tuple[bytes, bytes]]]) -> None:
        groups = [{pictures[number] for number in group} for group in expected]
        assert sorted(found[0]) == sorted((one, min(group)) for group in groups for one in group if one != min(group))

    return check


def test_no_images_have_no_copies(tmp_path: Path) -> None:
    with _pipeline() as pipeline:
        copies = pipeline | beam.Create([]) | FindPairs(3, str(tmp_path), COPIES)
        assert_that(copies[COPIES.name], is_empty())
        assert_that(copies["same"], is_empty(), label="Same")


def test_stored_descriptors_come_back_for_any_images_of_any_files(tmp_path: Path) -> None:
    tables = _batches([(number, _describe(_photograph(number))) for number in range(101)])
    stored = StoredPictures.merge(store(table, str(tmp_path)) for table in tables)
    assert len(set(stored.files)) == 2
    chosen = np.array([100, 7, 99, 0, 7])
    assert (load(stored.take(chosen)) == PictureTable.merge(tables).descriptors[chosen]).all()
    assert load(stored.take(chosen[:0])).shape == (0, DESCRIPTOR_BYTES)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=30), st.integers(1, 2000))
def test_every_picture_is_in_one_partition_whatever_its_batch(digests: list[bytes], partitions: int) -> None:
    parts = {number: to_bytes(from_bytes(digests)[rows]) for number, rows in partition(from_bytes(digests), partitions)}
    assert sorted(digest for part in parts.values() for digest in part) == sorted(digests)
    for number, part in parts.items():
        assert 0 <= number < partitions
        assert [number] == [alone for alone, _ in partition(from_bytes(part[:1]), partitions)]


def test_more_images_have_more_partitions_but_more_of_them_in_each() -> None:
    assert [count_partitions(10**power) for power in (0, 3, 6, 8)] == [1, 2, 62, 625]


def test_thousands_of_identical_images_are_one_group(tmp_path: Path) -> None:
    blank, wall = describe(np.full((64, 64), 7, np.uint8)), _describe(_photograph(1))
    described = [(number, (blank, wall)[number % 2]) for number in range(3000)]
    _expect_found_groups(described, [set(range(0, 3000, 2)), set(range(1, 3000, 2))], tmp_path)


def _jittered(images: int, most: int = 3) -> list[tuple[int, bytes]]:
    """Copies of three photographs that differ a little, in turn."""
    originals = [np.frombuffer(_describe(_photograph(seed)), np.int8).astype(int) for seed in range(3)]
    jitters = [np.random.default_rng(seed).integers(-most, most + 1, len(originals[0])) for seed in range(images)]
    return [
        (number, (originals[number % 3] + jitter).clip(-127, 127).astype(np.int8).tobytes())
        for number, jitter in enumerate(jitters)
    ]


def test_many_copies_that_differ_a_little_are_one_group(tmp_path: Path) -> None:
    _expect_found_groups(_jittered(300), [set(range(start, 300, 3)) for start in range(3)], tmp_path)


@pytest.mark.parametrize("partitions", [1, 97])
def test_every_pair_that_shares_a_band_is_found_once_however_the_work_is_spread(
    partitions: int, tmp_path: Path
) -> None:
    described = _jittered(36)
    expected = [
        tuple(sorted((_name(one), _name(other))))
        for (one, first), (other, second) in combinations(described, 2)
        if share_a_band(first, second) and similarity(first, second) >= COPY_THRESHOLD
    ]
    assert len(expected) > 100
    with _pipeline() as pipeline:
        similar = (pipeline | beam.Create(_batches(described)) | FindPairs(partitions, str(tmp_path), COPIES))[
            COPIES.name
        ]
        names = similar | beam.FlatMap(lambda pairs: [tuple(sorted(pair)) for pair in pairs.names])
        assert_that(names, equal_to(expected))


def test_pictures_are_asked_for_less_often_than_were_pairs_compared_where_their_first_one_is() -> None:
    (images,) = _batches(_jittered(48, most=1))
    bands: dict[int, list[Any]] = {}
    for number, entries in search._by_band(images, 97, [COPIES]):
        bands.setdefault(number, []).append(entries)
    pairs: dict[int, list[Any]] = {}
    by_first: dict[int, set[bytes]] = {}
    for band in bands.items():
        for number, (pictures, ones, others) in search._pair_band(band, 97):
            pairs.setdefault(number, []).append((pictures, ones, others))
            for place, rows in partition(pictures[ones], 97):
                by_first.setdefault(place, set()).update(
                    to_bytes(pictures[ones][rows]), to_bytes(pictures[others][rows])
                )
    requests = (output for asking in pairs.items() for output in search._ask(asking, 97))
    asked = sum(len(output[1][1]) for output in requests if not isinstance(output, beam.pvalue.TaggedOutput))
    assert 48 <= asked < 0.7 * sum(map(len, by_first.values()))


def test_every_message_fits_into_a_buffer_that_flink_sorts_in(tmp_path: Path) -> None:
    count = 20_000
    digests = from_bytes(map(_digest, range(count)))
    names = [str(number).rjust(200).encode() for number in range(count)]
    rows = np.arange(count, dtype=np.uint32)
    spread = list(StoredPictures(digests, names, ["a file of descriptors" * 10] * count, rows).spread(1))
    band = np.ones(count, np.uint64), digests, np.zeros(count, np.uint32)
    numbered = list(search._pair_band((0, [band]), 1))
    asked = list(search._ask((0, [pairs for _, pairs in numbered]), 1))
    waiting = [output.value for output in asked if isinstance(output, beam.pvalue.TaggedOutput)]
    assert sum(len(pairs[0]) for _, pairs in waiting) > 4 * count - 20
    # Flink collects all pairs of one key before it sends them.
    edges = groups._StoreEdges(str(tmp_path))
    edges.start_bundle()
    for _, pairs in waiting:
        edges.process(Pairs(COPIES.name, *pairs, names=[]))
    files = [stored.value for stored in edges.finish_bundle()]
    tied = list(groups._join((0, [file for _, file in files]), 1))
    assert sum(len(pictures) for _, (pictures, *_) in tied) == count - 1
    messages = [*spread, *numbered, *asked, files, *tied]
    assert max(len(pickle.dumps(getattr(message, "value", message))) for message in messages) < 2**19


def _compared(codes: list[int]) -> set[tuple[bytes, bytes]]:
    """The pairs of pictures that are compared where the first has the first of `codes`, and so on."""
    first, second = pair(np.array(codes, np.uint64), from_bytes(map(_digest, range(len(codes)))))
    assert len(first) == len(set(zip(to_bytes(first), to_bytes(second), strict=True)))
    return set(zip(to_bytes(first), to_bytes(second), strict=True))


def test_all_images_of_a_band_are_compared_while_they_are_few() -> None:
    assert len(_compared([1] * 16)) == 16 * 15 / 2


def test_work_grows_with_the_images_that_share_a_band_not_with_their_pairs() -> None:
    assert len(_compared([1] * 20_000)) < 4 * 20_000


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=120))
def test_those_that_share_a_band_are_compared_all_or_with_the_smallest_four(codes: list[int]) -> None:
    expected = set()
    for code in set(codes):
        sharing = [number for number, other in enumerate(codes) if other == code]
        hubs = sharing if len(sharing) <= 16 else sharing[:4]
        expected |= {(_digest(hub), _digest(number)) for hub in hubs for number in sharing if hub < number}
    assert _compared(codes) == expected
