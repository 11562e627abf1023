"""Groups of copies among any number of images, as Beam transforms without a step over all pairs.

    described: PCollection[tuple[bytes, bytes]]   # key of the image, descriptor
    pairs = described | FindCopies()
    groups = (described | beam.Keys(), pairs) | GroupCopies()

A key is any name that no two images share. The result depends on the images alone, not on order, runner or workers.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from components.copies.descriptor import COPY_THRESHOLD, bands, similarity

# As many images of one band are compared with each other; of more, each is compared with a few of them.
_MOST_IN_FULL = 16
_HUBS = 4
# The number of the band and the first 8 bits of its hash: 5,120 names.
_BAND_NAME_BYTES = 2
# Rounds that join up a chain of about 2^rounds copies; copies are chained only where not all of them resemble each
# other, so that real groups are joined after two or three.
_ROUNDS = 10

Pair = tuple[bytes, bytes]


class IncompleteGroupsError(RuntimeError):
    """Copies hang together in a longer chain than the rounds of `GroupCopies` can join."""


class FindCopies(beam.PTransform):
    """From keys and descriptors, PCollection[tuple[bytes, bytes]], to pairs of keys of copies, the smaller one first.

    Images of one descriptor are copies outright, and one of them stands for all in what follows. Images that share a
    band are compared; where more than 16 share it, each only with those of the 4 smallest keys, so that the work stays
    proportional to the number of images. What is lost there: two copies of which neither is among the 4 in any band
    that they share, unless both are copies of a third image that is.

    A worker holds the names, not the descriptors, of one image in 256: those whose hash of a band begins alike.
    """

    def expand(self, described: beam.PCollection) -> beam.PCollection:
        """Builds the transform. The pipeline fails with ValueError if two different images have one key."""
        same = described | "ByDescriptor" >> beam.KvSwap() | "GroupSame" >> beam.GroupByKey()
        exact = same | "PairSame" >> beam.FlatMapTuple(_pair_same)
        distinct = same | "Smallest" >> beam.MapTuple(_smallest)
        candidates = (
            distinct
            | "Bands" >> beam.FlatMapTuple(_by_band)
            | "GroupBands" >> beam.GroupByKey()
            | "PairBands" >> beam.FlatMapTuple(_pair_bands)
            | "Once" >> beam.Distinct()
        )
        sent = (
            {"descriptors": distinct, "others": candidates}
            | "JoinFirst" >> beam.CoGroupByKey()
            | "Send" >> beam.FlatMapTuple(_send_descriptor)
        )
        similar = (
            {"descriptors": distinct, "others": sent}
            | "JoinSecond" >> beam.CoGroupByKey()
            | "Compare" >> beam.FlatMapTuple(_compare)
        )
        return (exact, similar) | "Copies" >> beam.Flatten()


class GroupCopies(beam.PTransform):
    """From (keys, pairs of keys) to keys with their group, PCollection[tuple[bytes, bytes]].

    A group is a connected component of the pairs and named by its smallest key. Its method is the alternation of large
    and small stars (Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014): no round has more
    edges than pairs or holds one image's edges in memory.
    """

    # Beam takes an annotation for the type of its input's elements, and warns of a tuple of inputs.
    def expand(self, keys_and_pairs: Any) -> beam.PCollection:
        """Builds the transform.

        The pipeline fails with IncompleteGroupsError rather than split a group, and with ValueError if a key is there
        twice or a pair names an unknown one.
        """
        keys, pairs = keys_and_pairs
        edges = pairs | "Downwards" >> beam.MapTuple(_downwards)
        for number in range(_ROUNDS):
            edges = (
                edges
                | f"BothWays{number}" >> beam.FlatMapTuple(_both_ways)
                | f"Neighbours{number}" >> beam.GroupByKey()
                | f"LargeStar{number}" >> beam.FlatMapTuple(_large_star)
                | f"SmallerNeighbours{number}" >> beam.GroupByKey()
                | f"SmallStar{number}" >> beam.FlatMapTuple(_small_star)
            )
        edges = edges | "DistinctEdges" >> beam.Distinct()
        centres = edges | "Centres" >> beam.Values() | "DistinctCentres" >> beam.Distinct()
        return (
            {"keys": keys | "Name" >> beam.Map(_paired), "centres": edges, "led": centres | "Lead" >> beam.Map(_paired)}
            | "JoinGroups" >> beam.CoGroupByKey()
            | "Group" >> beam.MapTuple(_group)
        )


def _pair_same(_descriptor: bytes, keys: Iterable[bytes]) -> Iterator[Pair]:
    smallest = min(keys)
    for key in keys:
        if key != smallest:
            yield smallest, key


def _smallest(descriptor: bytes, keys: Iterable[bytes]) -> tuple[bytes, bytes]:
    return min(keys), descriptor


def _by_band(key: bytes, descriptor: bytes) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
    """Many bands go by one name, their first bytes: nearly all have a single image, and a name each would cost most."""
    for band in bands(descriptor):
        yield band[:_BAND_NAME_BYTES], (band[_BAND_NAME_BYTES:], key)


def _pair_bands(_name: bytes, entries: Iterable[tuple[bytes, bytes]]) -> Iterator[Pair]:
    sharing: dict[bytes, list[bytes]] = {}
    for band, key in entries:
        sharing.setdefault(band, []).append(key)
    for keys in sharing.values():
        yield from _pair_band(keys)


def _pair_band(keys: list[bytes]) -> Iterator[Pair]:
    hubs = heapq.nsmallest(_MOST_IN_FULL + 1, keys)
    if len(hubs) > _MOST_IN_FULL:
        hubs = hubs[:_HUBS]
    for key in keys:
        for hub in hubs:
            if hub < key:
                yield hub, key


def _send_descriptor(key: bytes, joined: dict[str, list[Any]]) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
    descriptor = _only(key, joined["descriptors"])
    for other in joined["others"]:
        yield other, (key, descriptor)


def _compare(key: bytes, joined: dict[str, list[Any]]) -> Iterator[Pair]:
    own = _only(key, joined["descriptors"])
    for other, descriptor in joined["others"]:
        if similarity(descriptor, own) >= COPY_THRESHOLD:
            yield other, key


def _only(key: bytes, found: list[Any]) -> Any:
    if len(found) != 1:
        raise ValueError(f"{len(found)} images have the key {key!r}; it must be 1")
    return found[0]


def _downwards(one: bytes, other: bytes) -> Pair:
    return max(one, other), min(one, other)


def _both_ways(larger: bytes, smaller: bytes) -> Iterator[Pair]:
    yield larger, smaller
    yield smaller, larger


def _large_star(key: bytes, neighbours: Iterable[bytes]) -> Iterator[Pair]:
    """Ties the larger neighbours to the smallest one."""
    smallest = min(key, min(neighbours))
    for neighbour in neighbours:
        if neighbour > key:
            yield neighbour, smallest


def _small_star(key: bytes, smaller: Iterable[bytes]) -> Iterator[Pair]:
    """Ties the smaller neighbours, and the image itself, to the smallest one."""
    smallest = min(smaller)
    yield key, smallest
    for neighbour in smaller:
        if neighbour != smallest:
            yield neighbour, smallest


def _paired(key: bytes) -> tuple[bytes, None]:
    return key, None


def _group(key: bytes, joined: dict[str, list[Any]]) -> tuple[bytes, bytes]:
    """All edges lead straight to the smallest image of the group, or the rounds were too few."""
    _only(key, joined["keys"])
    if len(joined["centres"]) + len(joined["led"]) > 1:
        raise IncompleteGroupsError(
            f"the group of {key!r} is not joined after {_ROUNDS} rounds: it is a chain of some {2**_ROUNDS} images or "
            "more, each a copy of the next one only, which no photograph gives rise to: look at these images"
        )
    return key, (joined["centres"] or [key])[0]
