"""Operations with which a SavedModel reaches files, the network or Python: such a model is not loaded.

A SavedModel is a program: what its graph says is done with the rights of the process that loads it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from crackgate.model.saved_graph import called_functions, read_saved_model
from crackgate.regular_file import other_kind

# "Experimental" may precede a name.
_FILES = """
    ReadFile WriteFile MatchingFiles MatchingFilesDataset FileSystemSetConfiguration DumpTensor RecordInput Skipgram
    Save SaveSlices Restore RestoreSlice DistributedSave DTensorRestoreV2 LoadAndRemapMatrix GenerateVocabRemapping
    CalibrationStatisticsSaver FixedUnigramCandidateSampler
    TextLineReader TextLineReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 TFRecordReader TFRecordReaderV2
    WholeFileReader WholeFileReaderV2 LMDBReader
    TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2
    CSVDataset CSVDatasetV2 SqlDataset LMDBDataset DatasetToTFRecord SaveDataset SaveDatasetV2 LoadDataset
    SnapshotDataset SnapshotDatasetV2 SnapshotDatasetReader SnapshotNestedDatasetReader SnapshotChunkDataset
    ListSnapshotChunksDataset CacheDataset CacheDatasetV2
    CreateSummaryFileWriter CreateSummaryDbWriter ImportEvent
    DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
"""
_NETWORK = """
    DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 RegisterDataset RegisterDatasetV2
    RpcClient RpcServer RpcServerStart RpcServerRegister RpcCall RemoteCall
"""
# Python, native functions by name, graphs inside a tensor, and the end of the process.
_CODE = """
    PyFunc PyFuncStateless EagerPyFunc XlaCustomCall XlaCustomCallV2 DatasetFromGraph DeserializeIterator Abort
    WorkerHeartbeat
"""
FORBIDDEN = frozenset(f"{_FILES} {_NETWORK} {_CODE}".split())
# TensorFlow's own functions that save and restore the variables have them. The second runs when a model is loaded.
RESTORER = frozenset({"RestoreV2"})
SAVER = frozenset({"SaveV2", "MergeV2Checkpoints"}) | RESTORER
# They read a vocabulary, which may be an asset of the model only; the file's name is their second input.
TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
# It writes to a stream of the process, by default to its errors, or to any file.
PRINT = "PrintV2"
_STREAMS = {b"", b"stdout", b"stderr", b"log(info)", b"log(warning)", b"log(error)"}
_MOST_NAMED = 5


class ForbiddenOperationError(ValueError):
    """A SavedModel that reaches beyond its inputs and outputs."""


def check_operations(folder: Path) -> None:
    """Looks at every operation of a SavedModel, in its graph and its functions, before it is loaded.

    Raises:
        ForbiddenOperationError: An operation reaches files but the model's own, the network or Python, the graph is
            damaged, or a file is a FIFO, a socket or a device.
        OSError: `saved_model.pb` cannot be read.
        google.protobuf.message.DecodeError: It is no SavedModel.
    """
    graphs = read_saved_model(folder).meta_graphs
    try:
        names = {name for graph in graphs for name in (*_find_forbidden(graph), *_outer_assets(folder, graph))}
        found = sorted(names.union(_find_unreadable(folder)))
    except (IndexError, ValueError) as error:
        raise ForbiddenOperationError(f"the SavedModel in {str(folder)!r} has a damaged graph: {error}") from error
    if found:
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise ForbiddenOperationError(
            f"the SavedModel in {str(folder)!r} is refused: it has {', '.join(found[:_MOST_NAMED])}{more}, which reach "
            "files, the network or code outside the model; export it without them, and load no model of unknown origin"
        )


def _find_forbidden(graph: Any) -> Iterator[str]:
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    assets = {asset.tensor_info.name.partition(":")[0] for asset in graph.asset_file_def}
    saver_nodes = [graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name]
    others = [node for node in graph.graph_def.node if node.name not in saver_nodes]
    # Functions that are called by name, or when the model is loaded.
    entries = graph.object_graph_def.concrete_functions
    reached = [(_closure(called_functions(others).union(entries), functions), SAVER)]
    # Saving and restoring need some of these operations, in functions that do nothing else.
    for name, denied in zip(saver_nodes, (frozenset[str](), SAVER - RESTORER), strict=True):
        own = [node for node in graph.graph_def.node if node.name == name]
        reached.append((_closure(called_functions(own), functions), denied))
    yield from _forbidden_of(graph.graph_def.node, SAVER, assets)
    called = called_functions(node for function in functions.values() for node in function.node_def)
    for name, function in functions.items():
        denials = [denied for names, denied in reached if name in names] or [SAVER]
        also = frozenset().union(*denials)
        # A function that calls it could give it another path.
        bound = set() if name in called else _bound_assets(name, function, graph.object_graph_def)
        yield from _forbidden_of(function.node_def, also, bound)


def _outer_assets(folder: Path, graph: Any) -> Iterator[str]:
    """Assets that are no files of the model."""
    for asset in graph.asset_file_def:
        path = PurePosixPath("assets", asset.filename)
        links = any((folder / part).is_symlink() for part in (path, *path.parents[:-1]))
        if links or PurePosixPath(asset.filename).is_absolute() or ".." in path.parts or "\0" in asset.filename:
            yield f"the asset {asset.filename!r}"


def _find_unreadable(folder: Path) -> Iterator[str]:
    """The files that TensorFlow would read for ever, or wait for."""
    for path in (*folder.glob("*"), *folder.glob("*/*")):
        # A link to nowhere is a missing file, as TensorFlow says.
        with suppress(FileNotFoundError):
            status = path.stat()
            if not path.is_dir() and (kind := other_kind(status)):
                yield f"{kind}, {path.relative_to(folder).as_posix()!r}"


def _forbidden_of(nodes: Iterable[Any], also: frozenset[str], assets: set[str]) -> Iterator[str]:
    """Names of forbidden operations; `assets` are the nodes and arguments that hold the path of an asset."""
    for node in nodes:
        name = node.op.removeprefix("Experimental")
        reads_elsewhere = name in TABLES and node.input[1].partition(":")[0] not in assets
        prints_elsewhere = name == PRINT and node.attr["output_stream"].s not in _STREAMS
        if name in FORBIDDEN or name in also or reads_elsewhere or prints_elsewhere:
            yield node.op


def _closure(names: Iterable[str], functions: Mapping[str, Any]) -> set[str]:
    """Functions, and all functions that they call."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found.add(name)
            waiting += called_functions(functions[name].node_def)
    return found


def _bound_assets(name: str, function: Any, objects: Any) -> set[str]:
    """Arguments of a function to which the loader gives the path of an asset: its last ones are bound to objects."""
    if name not in objects.concrete_functions:
        return set()
    bound = objects.concrete_functions[name].bound_inputs
    arguments = function.signature.input_arg[len(function.signature.input_arg) - len(bound) :]
    return {
        argument.name
        for argument, number in zip(arguments, bound, strict=True)
        if objects.nodes[number].WhichOneof("kind") == "asset"
    }
