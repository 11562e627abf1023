"""Groups of copies from pairs, as a Beam transform that holds no whole group in memory.

images: PCollection[PictureTable]
copies = images | FindCopies(partitions)
centres = copies["similar"] | GroupCopies(partitions)
"""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

from crackgate.images.copies.partitions import Digests, distinct_pairs, partition, to_bytes
from crackgate.images.copies.search import Pairs

# These rounds join a chain of about 2^rounds copies; real groups need two or three.
_ROUNDS = 10
# For frames of a video, each of which overlaps with the next: hours of them.
LONG_CHAIN_ROUNDS = 17

# Pictures and their neighbours, row by row.
Edges = tuple[Digests, Digests]


class IncompleteGroupsError(RuntimeError):
    """A chain of copies is longer than the rounds of `GroupCopies` can join."""


class GroupCopies(beam.PTransform):
    """From PCollection[Pairs] to the centre of each group, PCollection[tuple[int, Edges]].

    A group is a connected component of the pairs; its smallest picture is its centre. Each of the `partitions` (see
    `count_partitions`) gives at most one element: its other pictures, sorted, with their centres. Source: alternating
    large and small stars (Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014).
    """

    def __init__(self, partitions: int, rounds: int | None = None):
        """Takes the rounds, which join a chain of some 2^rounds images; by default 10."""
        super().__init__()
        self._partitions = partitions
        self._rounds = _ROUNDS if rounds is None else rounds

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        """Builds the transform; the pipeline raises IncompleteGroupsError before it splits a group."""
        count = self._partitions
        edges = pairs | "Downwards" >> beam.Map(_downwards)
        for number in range(self._rounds):
            edges = (
                edges
                | f"BothWays{number}" >> beam.FlatMap(_both_ways, count)
                | f"Neighbours{number}" >> beam.GroupByKey()
                | f"LargeStar{number}" >> beam.FlatMap(_large_star, count)
                | f"SmallerNeighbours{number}" >> beam.GroupByKey()
                | f"SmallStar{number}" >> beam.MapTuple(_small_star)
            )
        return (
            {
                "centres": edges | "ByPicture" >> beam.FlatMap(_by_picture, count),
                "led": edges | "ByCentre" >> beam.FlatMap(_by_centre, count),
            }
            | "JoinCentres" >> beam.CoGroupByKey()
            | "Check" >> beam.FlatMap(_check, self._rounds)
        )


def _downwards(pairs: Pairs) -> Edges:
    return pairs.second, pairs.first


def _both_ways(edges: Edges, count: int) -> Iterator[tuple[int, Edges]]:
    larger, smaller = edges
    return _by_picture((np.concatenate((larger, smaller)), np.concatenate((smaller, larger))), count)


def _by_picture(edges: Edges, count: int) -> Iterator[tuple[int, Edges]]:
    pictures, others = edges
    for number, rows in partition(pictures, count):
        yield number, (pictures[rows], others[rows])


def _by_centre(edges: Edges, count: int) -> Iterator[tuple[int, Digests]]:
    centres = np.unique(edges[1])
    for number, rows in partition(centres, count):
        yield number, centres[rows]


def _large_star(numbered: tuple[int, Iterable[Edges]], count: int) -> Iterator[tuple[int, Edges]]:
    """Ties each picture's larger neighbours to the smallest of it and its neighbours."""
    pictures, neighbours = _merge(numbered[1])
    smallest = _smallest_neighbours(pictures, neighbours)
    smallest = np.where(smallest < pictures, smallest, pictures)  # type: ignore[operator]  # not in the stubs
    larger = neighbours > pictures  # type: ignore[operator]
    return _by_picture(distinct_pairs(neighbours[larger], smallest[larger]), count)


def _small_star(_number: int, edges: Iterable[Edges]) -> Edges:
    """Ties each picture and its smaller neighbours to the smallest of these."""
    pictures, smaller = _merge(edges)
    smallest = _smallest_neighbours(pictures, smaller)
    others = smaller != smallest
    return distinct_pairs(np.concatenate((pictures, smaller[others])), np.concatenate((smallest, smallest[others])))


def _merge(edges: Iterable[Edges]) -> Edges:
    """Sorts edges by picture, then by neighbour."""
    return distinct_pairs(*(np.concatenate(side) for side in zip(*edges, strict=True)))


def _smallest_neighbours(pictures: Digests, neighbours: Digests) -> Digests:
    """The smallest neighbour of each row's picture."""
    return np.asarray(neighbours[np.searchsorted(pictures, pictures)])


def _check(numbered: tuple[int, dict[str, list[Any]]], rounds: int) -> Iterator[tuple[int, Edges]]:
    """Raises unless all edges lead straight to their group's smallest picture."""
    number, joined = numbered
    if not joined["centres"]:
        return
    pictures, centres = _merge(joined["centres"])
    led = np.isin(pictures, np.concatenate(joined["led"])) if joined["led"] else np.zeros(len(pictures), bool)
    wrong = led | np.insert(pictures[1:] == pictures[:-1], 0, False)
    if wrong.any():
        raise IncompleteGroupsError(
            f"the group of picture {to_bytes(pictures[wrong])[0].hex()} is not joined after {rounds} rounds: it is a "
            f"chain of some {2**rounds} images or more, each like the next one only, which no photograph gives rise "
            "to: look at these images"
        )
    yield number, (pictures, centres)
