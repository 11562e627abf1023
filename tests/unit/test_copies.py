"""Copies of one photograph are recognised whatever was done to it; groups are exact, whatever the order and shape."""

import io
import random
from collections.abc import Callable, Iterable
from itertools import combinations, pairwise

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to, is_empty
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.copies import grouping
from components.copies.descriptor import COPY_THRESHOLD, bands, describe, is_blank, similarity
from components.copies.grouping import FindCopies, GroupCopies, IncompleteGroupsError
from pipeline.sample_data import draw_photograph

Groups = list[tuple[bytes, bytes]]

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
    return similarity(one, other) >= COPY_THRESHOLD and not set(bands(one)).isdisjoint(bands(other))


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
    assert similarity(describe(grey), describe(copy)) > 0.999
    assert not set(bands(describe(grey))).isdisjoint(bands(describe(copy)))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (32, 5000), (3000, 40)])
def test_any_shape_is_described(height: int, width: int) -> None:
    grey = _noise(height, width)
    assert similarity(describe(grey), describe(grey)) == pytest.approx(1)


def test_a_large_image_is_described_like_a_small_one() -> None:
    grey = _noise(64, 48)
    assert similarity(describe(grey), describe(grey.repeat(20, axis=0).repeat(20, axis=1))) > 0.999


def test_a_blank_image_is_a_copy_of_an_identical_one_only() -> None:
    blank, faint = np.full((64, 64), 200, np.uint8), np.full((64, 64), 200, np.uint8)
    faint[5, 5] = 201
    assert is_blank(describe(blank)) and is_blank(describe(faint))
    assert similarity(describe(blank), describe(blank.copy())) == 1
    assert similarity(describe(blank), describe(faint)) == 0
    assert similarity(describe(blank), describe(_noise(64, 64))) == 0
    assert describe(blank) != describe(blank.reshape(32, 128))
    assert bands(describe(blank)) == []


@pytest.mark.parametrize(
    "grey", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)]
)
def test_what_is_not_a_grey_image_is_refused(grey: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        describe(grey)


def _pipeline() -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(runner="FnApiRunner", direct_running_mode="in_memory"))


def _key(number: int) -> bytes:
    return b"%07d" % number


def _expect_groups(nodes: Iterable[int], edges: Iterable[tuple[int, int]], expected: Groups) -> None:
    keys, pairs = [_key(node) for node in nodes], [(_key(one), _key(other)) for one, other in edges]
    with _pipeline() as pipeline:
        created = pipeline | "Keys" >> beam.Create(keys), pipeline | "Pairs" >> beam.Create(pairs)
        assert_that(created | GroupCopies(), equal_to(expected))


def _components(count: int, edges: list[tuple[int, int]]) -> Groups:
    """The same by SciPy."""
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    _, labels = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), (count, count)), directed=False)
    smallest: dict[int, int] = {}
    for node, label in enumerate(labels.tolist()):
        smallest.setdefault(label, node)
    return [(_key(node), _key(smallest[label])) for node, label in enumerate(labels.tolist())]


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 300))
    nodes = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(nodes, nodes).filter(lambda edge: edge[0] != edge[1]), max_size=400))
    return count, edges


@settings(max_examples=5, deadline=None)
@given(_graphs())
def test_groups_are_the_connected_components(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    _expect_groups(range(count), edges, _components(count, edges))


def _zigzag(nodes: range) -> list[int]:
    """The smallest, the largest, the second smallest, ..."""
    return [node for ends in zip(nodes, reversed(nodes), strict=True) for node in ends][: len(nodes)]


def test_long_chains_are_joined_up() -> None:
    sizes = range(1000), range(1000, 2000), range(2000, 3000)
    orders = [list(sizes[0]), _zigzag(sizes[1]), random.Random(0).sample(sizes[2], 1000)]
    edges = [edge for order in orders for edge in pairwise(order)]
    _expect_groups(range(3000), edges, _components(3000, edges))


def test_the_order_of_the_images_does_not_matter() -> None:
    images = [_describe(change(_photograph(seed))) for seed in range(4) for change in CHANGES.values()]
    described = [(_key(number), image) for number, image in enumerate(images)]
    expected = [(_key(number), _key(number - number % len(CHANGES))) for number in range(len(images))]
    for seed in range(2):
        _expect_found_groups(random.Random(seed).sample(described, len(described)), expected)


def test_a_star_of_many_copies_is_one_group() -> None:
    _expect_groups(range(2000), [(1999, node) for node in range(1999)], [(_key(node), _key(0)) for node in range(2000)])


def test_too_long_a_chain_fails_rather_than_fall_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_ROUNDS", 3)
    with pytest.raises(IncompleteGroupsError, match="not joined after 3 rounds"):
        _expect_groups(range(100), pairwise(range(100)), [])


@pytest.mark.parametrize(
    ("nodes", "edges", "found"), [([0, 1, 1], [], "2 images"), ([0, 1], [(1, 2)], "0 images")], ids=["twice", "unknown"]
)
def test_keys_that_are_not_those_of_the_pairs_are_refused(
    nodes: list[int], edges: list[tuple[int, int]], found: str
) -> None:
    with pytest.raises(ValueError, match=found):
        _expect_groups(nodes, edges, [])


def _expect_found_groups(described: list[tuple[bytes, bytes]], expected: Groups) -> None:
    with _pipeline() as pipeline:
        images = pipeline | beam.Create(described)
        assert_that((images | beam.Keys(), images | FindCopies()) | GroupCopies(), equal_to(expected))


def test_no_images_have_no_copies() -> None:
    with _pipeline() as pipeline:
        assert_that(pipeline | beam.Create([]) | FindCopies(), is_empty())


def test_one_key_for_two_images_is_refused() -> None:
    one, other = _describe(_photograph(0)), _describe(_resized(_photograph(0), 0.9))
    with pytest.raises(ValueError, match="2 images have the key b'a'"), _pipeline() as pipeline:
        _ = pipeline | beam.Create([(b"a", one), (b"a", other), (b"b", one)]) | FindCopies()


def test_thousands_of_identical_images_are_one_group() -> None:
    blank, wall = describe(np.full((64, 64), 7, np.uint8)), _describe(_photograph(1))
    described = [(_key(number), (blank, wall)[number % 2]) for number in range(3000)]
    _expect_found_groups(described, [(_key(number), _key(number % 2)) for number in range(3000)])


def test_many_copies_that_differ_a_little_are_one_group() -> None:
    def jittered(descriptor: bytes, seed: int) -> bytes:
        coefficients = np.frombuffer(descriptor, np.int8).astype(int)
        jitter = np.random.default_rng(seed).integers(-3, 4, len(coefficients))
        return (coefficients + jitter).clip(-127, 127).astype(np.int8).tobytes()

    originals = [_describe(_photograph(seed)) for seed in range(3)]
    described = [(_key(number), jittered(originals[number % 3], number)) for number in range(300)]
    _expect_found_groups(described, [(_key(number), _key(number % 3)) for number in range(300)])


def _count_compared(in_one_band: int) -> int:
    return len(set(grouping._pair_band([_key(number) for number in range(in_one_band)])))


def test_all_images_of_a_band_are_compared_while_they_are_few() -> None:
    assert _count_compared(16) == 16 * 15 / 2


def test_work_grows_with_the_images_that_share_a_band_not_with_their_pairs() -> None:
    assert _count_compared(20_000) < 4 * 20_000
