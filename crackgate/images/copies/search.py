"""Pairs of copies, and of images that overlap, as Beam transforms that compare few of all pairs.

The result depends on the images alone, not on their order, the runner or its workers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.descriptor import COPY_THRESHOLD, Descriptors, bands, similarities
from crackgate.images.copies.descriptor_files import StoredPictures, load, store
from crackgate.images.copies.outline import BYTES as OUTLINE_BYTES
from crackgate.images.copies.overlap import name_codes, name_region, overlap
from crackgate.images.copies.partitions import (
    DIGESTS_AT_ONCE,
    IMAGES_AT_ONCE,
    Digests,
    Indices,
    PictureTable,
    distinct_pairs,
    find_rows,
    messages,
    partition,
    rows_by,
    told_apart,
)
from crackgate.images.copies.places import place_codes

SAME_OUTPUT = "same"
_PAIRS_OUTPUT = "pairs"

# Up to so many images of one band are all compared; with more, each is compared with the hubs.
_MOST_IN_FULL = 16
_HUBS = 4
# Codes of places lie above those of names. A spot that more images share is a logo or a pattern, and says nothing.
_PLACES = np.uint64(1 << 35)
# Bounds the memory of comparisons: some 300 kB a pair.
_COMPARED_AT_ONCE = 128

# A band's code, its picture and that picture's home, row by row.
# Pairs are compared at the first picture's home: where most pictures share it with theirs, each is sent once or twice.
Entries = tuple[NDArray[np.uint64], Digests, NDArray[np.uint32]]
# Rows of a table, rising, and a code and the home of each; images that share a code are worth comparing.
Codes = tuple[Indices, NDArray[np.uint64], NDArray[np.uint32]]
# Pictures, and for each pair the rows of its two among them.
NumberedPairs = tuple[Digests, NDArray[np.uint32], NDArray[np.uint32]]


@dataclass(frozen=True)
class Pairs:
    """Pairs of one search, by its name: digests of the smaller and the larger picture, the smallest name of each."""

    search: str
    first: Digests
    second: Digests
    names: list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Search:
    """A kind of pairs.

    Attributes:
        name: Of the output.
        codes: Gives images codes and homes.
        alike: Whether two pictures are such a pair: rows of descriptors, (pairs,) each, to (pairs,).
    """

    name: str
    codes: Callable[[PictureTable], Codes]
    alike: Callable[[Descriptors, Indices, Indices], NDArray[np.bool_]]


class FindPairs(beam.PTransform):
    """From images, PCollection[PictureTable], to the pairs of pictures of each search, PCollection[Pairs].

    The output `same` lists pairs of names of images with one descriptor: the smallest with each other one.

    Pictures that share one of a search's codes are compared. If more than 16 share it, each is compared with the 4
    smallest only, or with none if the code is of a spot. This misses two copies outside the 4 smallest of every shared
    code, unless both resemble a third picture among them.

    A worker holds one of the `partitions` (see `count_partitions`): about 16,000 of a million descriptors. Searches
    share the steps; the second one's partitions of codes and pairs are numbered from `partitions` on. Descriptors wait
    in files of `folder`, which all workers see and nobody else deletes before the pipeline ends.
    """

    def __init__(self, partitions: int, folder: str, *searches: Search):
        super().__init__()
        self._partitions, self._folder, self._searches = partitions, folder, searches

    def expand(self, images: beam.PCollection) -> Any:
        """Builds the transform with an output for each search, by its name, and `same`."""
        count, searches = self._partitions, self._searches
        asked = (
            images
            | "Bands" >> beam.FlatMap(_by_band, count, searches)
            | "GroupBands" >> beam.GroupByKey()
            | "PairBands" >> beam.FlatMap(_pair_band, count)
            | "GroupPairs" >> beam.GroupByKey()
            | "Ask" >> beam.FlatMap(_ask, count).with_outputs(_PAIRS_OUTPUT, main="pictures")
        )
        stored = images | "Store" >> beam.FlatMap(_store, self._folder, count)
        answered = (
            (stored, asked.pictures)
            | "PicturesAndRequests" >> beam.Flatten()
            | "JoinPictures" >> beam.GroupByKey()
            | "Answer" >> beam.FlatMapTuple(_answer).with_outputs(SAME_OUTPUT, main="pictures")
        )
        names = [search.name for search in searches]
        found = (
            (asked[_PAIRS_OUTPUT], answered.pictures)
            | "PairsAndAnswers" >> beam.Flatten()
            | "JoinAnswers" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMap(_compare, count, searches).with_outputs(*names)
        )
        return {SAME_OUTPUT: answered[SAME_OUTPUT], **{name: found[name] for name in names}}


def _band_codes(pictures: PictureTable) -> Codes:
    textured = _textured(pictures)
    hashes = bands(pictures.descriptors[textured])
    codes = ((np.arange(hashes.shape[1], dtype=np.uint64) << np.uint64(32)) | hashes).reshape(-1)
    # Most copies share their smallest hash.
    homes = hashes.min(axis=1)
    return np.repeat(textured, hashes.shape[1]), codes, np.repeat(homes, hashes.shape[1])


def _overlap_codes(pictures: PictureTable) -> Codes:
    rows, codes, homes = [], [], []
    textured = _textured(pictures)
    places = place_codes(pictures.descriptors[textured, OUTLINE_BYTES:]) | _PLACES
    for row, spots in zip(textured.tolist(), places.tolist(), strict=True):
        found = name_codes(pictures.names[row]) + spots
        codes += found
        rows += [row] * len(found)
        homes += [name_region(pictures.names[row])] * len(found)
    return np.array(rows, np.intp), np.array(codes, np.uint64), np.array(homes, np.uint32)


def _textured(pictures: PictureTable) -> Indices:
    return np.flatnonzero(pictures.descriptors.any(axis=1))


def _are_copies(pictures: Descriptors, ones: Indices, others: Indices) -> NDArray[np.bool_]:
    return similarities(pictures[ones], pictures[others]) >= COPY_THRESHOLD


# Those that share a band of hashes.
COPIES = Search("copies", _band_codes, _are_copies)
# Those whose names have near numbers, and those that share a spot.
OVERLAPS = Search("overlaps", _overlap_codes, overlap)


def _by_band(pictures: PictureTable, count: int, searches: Sequence[Search]) -> Iterator[tuple[int, Entries]]:
    for number_of_search, search in enumerate(searches):
        rows_of, codes, homes = search.codes(pictures)
        digests = pictures.digests[rows_of]
        for number, rows in rows_by(codes % np.uint64(count)):
            yield number_of_search * count + number, (codes[rows], digests[rows], homes[rows])


def _pair_band(band: tuple[int, Iterable[Entries]], count: int) -> Iterator[tuple[int, NumberedPairs]]:
    first_partition = band[0] // count * count
    codes, digests, homes = (np.concatenate(column) for column in zip(*band[1], strict=True))
    first, second = pair(codes, digests)
    pictures, rows_of = np.unique(digests, return_index=True)
    for number, rows in rows_by(homes[rows_of[find_rows(pictures, first)]] % np.uint64(count)):
        for part in messages(rows, DIGESTS_AT_ONCE):
            chosen, places = np.unique(np.concatenate((first[part], second[part])), return_inverse=True)
            yield first_partition + number, (chosen, *np.split(places.astype(np.uint32), 2))


def pair(codes: NDArray[np.uint64], digests: Digests) -> tuple[Digests, Digests]:
    """Pairs of pictures that share a code, the smaller one first."""
    order = np.argsort(codes)
    codes, digests = codes[order], digests[order]
    # Nearly all bands have a single image.
    same = codes[1:] == codes[:-1]
    shared = (np.append(same, False) | np.insert(same, 0, False))[: len(codes)]
    codes, digests = codes[shared], digests[shared]
    order = np.lexsort((digests, codes))
    codes, digests = codes[order], digests[order]
    once = np.insert((codes[1:] != codes[:-1]) | (digests[1:] != digests[:-1]), 0, True)[: len(codes)]
    codes, digests = codes[once], digests[once]
    starts = np.searchsorted(codes, codes)
    places, sizes = np.arange(len(codes)) - starts, np.searchsorted(codes, codes, "right") - starts
    few = sizes <= _MOST_IN_FULL
    looked_up = ~few & (codes < _PLACES)
    found: list[tuple[Indices, Indices]] = []
    for distance in range(1, _MOST_IN_FULL):
        later = np.flatnonzero(few & (places >= distance))
        found.append((later - distance, later))
    for hub in range(_HUBS):
        later = np.flatnonzero(looked_up & (places > hub))
        found.append((starts[later] + hub, later))
    smaller, larger = (np.concatenate(rows) for rows in zip(*found, strict=True))
    return distinct_pairs(digests[smaller], digests[larger])


def _ask(numbered: tuple[int, Iterable[NumberedPairs]], count: int) -> Iterator[Any]:
    """Requests the pictures of the pairs; the pairs themselves wait for them at home."""
    number, parts = numbered
    listed = [(pictures[ones], pictures[others]) for pictures, ones, others in parts]
    first, second = distinct_pairs(*(np.concatenate(side) for side in zip(*listed, strict=True)))
    for part in messages(np.arange(len(first)), DIGESTS_AT_ONCE):
        yield beam.pvalue.TaggedOutput(_PAIRS_OUTPUT, (number, (first[part], second[part])))
    wanted = np.unique(np.concatenate((first, second)))
    for holder, rows in partition(wanted, count):
        for part in messages(rows, DIGESTS_AT_ONCE):
            yield holder, (number, wanted[part])


def _store(pictures: PictureTable, folder: str, count: int) -> Iterator[tuple[int, StoredPictures]]:
    return store(pictures, folder).spread(count)


def _answer(_number: int, joined: Iterable[Any]) -> Iterator[Any]:
    stored, requests = told_apart(joined, StoredPictures)
    pictures, same = _distinct(StoredPictures.merge(stored))
    if same:
        yield beam.pvalue.TaggedOutput(SAME_OUTPUT, same)
    for asking, digests in requests:
        for part in messages(find_rows(pictures.digests, digests), IMAGES_AT_ONCE):
            yield asking, pictures.take(part)


def _distinct(pictures: StoredPictures) -> tuple[StoredPictures, list[tuple[bytes, bytes]]]:
    """The image with the smallest name for each picture, sorted by digest, and pairs of that name with the others."""
    by_name = np.array(sorted(range(len(pictures.names)), key=pictures.names.__getitem__), np.intp)
    pictures = pictures.take(by_name[np.argsort(pictures.digests[by_name], kind="stable")])
    _, firsts, numbers = np.unique(pictures.digests, return_index=True, return_inverse=True)
    distinct = pictures.take(firsts)
    names = zip(numbers.tolist(), pictures.names, strict=True)
    return distinct, [(distinct.names[at], name) for at, name in names if name != distinct.names[at]]


def _compare(numbered: tuple[int, Iterable[Any]], count: int, searches: Sequence[Search]) -> Iterator[Any]:
    number, joined = numbered
    search = searches[number // count]
    answers, pairs = told_apart(joined, StoredPictures)
    pictures = StoredPictures.merge(answers)
    pictures = pictures.take(np.argsort(pictures.digests))
    descriptors = load(pictures)
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    rows = np.stack((find_rows(pictures.digests, first), find_rows(pictures.digests, second)))
    # Images with near names are in pairs with each other, which are compared together.
    by_name = np.argsort(sorted(range(len(pictures.names)), key=pictures.names.__getitem__))
    rows = rows[:, np.lexsort(by_name[rows[::-1]])]
    for start in range(0, rows.shape[1], _COMPARED_AT_ONCE):
        ones, others = (side[start : start + _COMPARED_AT_ONCE] for side in rows)
        alike = search.alike(descriptors, ones, others)
        ones, others = ones[alike], others[alike]
        if len(ones):
            names = [(pictures.names[one], pictures.names[other]) for one, other in zip(ones, others, strict=True)]
            found = Pairs(search.name, pictures.digests[ones], pictures.digests[others], names)
            yield beam.pvalue.TaggedOutput(search.name, found)
