"""Groups of copies from pairs, as a Beam transform.

images: PCollection[PictureTable]
pairs = images | FindPairs(partitions, folder, COPIES)
centres = pairs[COPIES.name] | GroupCopies(partitions, folder)
"""

import os
import uuid
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crackgate.images.copies.partitions import DIGEST, DIGESTS_AT_ONCE, Digests, Indices, messages, partition
from crackgate.images.copies.search import COPIES, Pairs

# Whether two pictures are copies, or overlap, and both.
_EDGE = np.dtype([("are_copies", np.bool_), ("first", DIGEST), ("second", DIGEST)])
# Pictures, the centres of their groups, and those of the groups of their copies alone, row by row.
Centres = tuple[Digests, Digests, Digests]


class GroupCopies(beam.PTransform):
    """From PCollection[Pairs] to the centre of each group, PCollection[tuple[int, Centres]].

    A group is a connected component of the pairs; its smallest picture is its centre. Each of the `partitions` (see
    `count_partitions`) gives elements, or none: its other pictures, sorted, with their centres. The pairs of `COPIES`
    also make groups of their own. One worker joins all pairs: the rounds of a distributed search left each sort of a
    Flink job too little memory. Pairs wait in files of `folder`, which all workers see and nobody else deletes before
    the pipeline ends: Flink collects what has one key in records, which have to fit into a buffer.
    """

    def __init__(self, partitions: int, folder: str):
        super().__init__()
        self._partitions, self._folder = partitions, folder

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        """Builds the transform."""
        return (
            pairs
            | "Edges" >> beam.ParDo(_StoreEdges(self._folder))
            | "AllEdges" >> beam.GroupByKey()
            | "Join" >> beam.FlatMap(_join, self._partitions)
        )


class _StoreEdges(beam.DoFn):
    """Writes the pairs of a bundle into a new file, whose path it gives."""

    def __init__(self, folder: str):
        self._folder = folder

    def start_bundle(self) -> None:
        self._edges: list[NDArray[np.void]] = []

    def process(self, pairs: Pairs) -> None:
        edges = np.empty(len(pairs.first), _EDGE)
        edges["are_copies"], edges["first"], edges["second"] = pairs.search == COPIES.name, pairs.first, pairs.second
        self._edges.append(edges)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._edges:
            # Every attempt has its own name: an abandoned one may still be writing.
            file = os.path.join(self._folder, f"{uuid.uuid4().hex}.edges")
            with FileSystems.create(file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
                content.write(np.concatenate(self._edges).tobytes())
            yield WindowedValue((0, file), MIN_TIMESTAMP, [GlobalWindow()])


def _load(file: str) -> NDArray[np.void]:
    with FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
        return np.frombuffer(content.read(), _EDGE)


def _join(keyed: tuple[int, Iterable[str]], count: int) -> Iterator[tuple[int, Centres]]:
    edges = np.concatenate([_load(file) for file in keyed[1]])
    pictures, places = np.unique(np.concatenate((edges["first"], edges["second"])), return_inverse=True)
    ends, alike = places.reshape(2, -1), edges["are_copies"]
    groups, copies = (pictures[_smallest(len(pictures), *tied)] for tied in (ends, ends[:, alike]))
    led = groups != pictures
    pictures, groups, copies = pictures[led], groups[led], copies[led]
    for number, rows in partition(pictures, count):
        for part in messages(rows, DIGESTS_AT_ONCE):
            yield number, (pictures[part], groups[part], copies[part])


def _smallest(count: int, ones: Indices, others: Indices) -> Indices:
    """The smallest number of the component that each of `count` numbers is in."""
    graph = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    _, firsts = np.unique(components, return_index=True)
    smallest: Indices = firsts[components]
    return smallest
