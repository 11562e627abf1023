"""SavedModels that would reach files, the network or Python: refused before anything of them runs."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from crackgate.contracts.card import NotAReleaseError, ReleaseCard
from crackgate.contracts.model_files import MODEL_VERSION_FILE
from crackgate.model.graph_operations import (
    FORBIDDEN,
    PRINT,
    SAVER,
    TABLES,
    ForbiddenOperationError,
    check_operations,
)
from crackgate.model.released_model import load_released_model
from crackgate.model.saved_graph import called_functions


class Model(tf.Module):
    """Runs `work` on the images when it is asked."""

    def __init__(self, work: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__()
        self._work = work
        self.weight = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def predict_images(self, images: tf.Tensor) -> tf.Tensor:
        return tf.identity(self._work(images))


def saved(module: tf.Module, folder: Path) -> Path:
    """With the card and the number that make it pass for a release."""
    tf.saved_model.save(module, str(folder))
    ReleaseCard(classes=["Negative", "Positive"], image_size=32).write(folder)
    (folder / MODEL_VERSION_FILE).parent.mkdir(exist_ok=True)
    (folder / MODEL_VERSION_FILE).write_text("1\n")
    return folder


def table_of(file: str) -> tf.lookup.StaticHashTable:
    kinds = (tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
    return tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(file, *kinds), -1)


def _in_a_branch(images: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.size(images) > 3, lambda: tf.io.read_file("/etc/passwd"), lambda: tf.constant(""))


def _in_a_loop(images: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda image: tf.io.read_file(image), images)


def _in_a_data_set(images: tf.Tensor) -> tf.Tensor:
    lines = tf.data.TextLineDataset(images)
    return lines.reduce(tf.constant(""), lambda found, line: found + line)


def _by_python(images: tf.Tensor) -> tf.Tensor:
    return tf.py_function(lambda value: value, [images], tf.string)


def _by_printing(images: tf.Tensor) -> tf.Tensor:
    tf.print(images, output_stream="file:///tmp/never-written")
    return images


def _from_a_checkpoint(images: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.RestoreV2(prefix=images[0], tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def _over_the_network(images: tf.Tensor) -> tf.Tensor:
    handed = tf.raw_ops.RegisterDatasetV2(
        dataset=tf.data.Dataset.from_tensors(0)._variant_tensor,
        address="grpc://elsewhere:1",
        protocol="grpc",
        external_state_policy=0,
    )
    return tf.concat([images, [handed]], 0)


def _writing(images: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file("/tmp/never-written", images[0])]):
        return tf.identity(images)


REACHING = {
    "ReadFile": _in_a_branch,
    "ReadFile in a loop": _in_a_loop,
    "TextLineDataset": _in_a_data_set,
    "EagerPyFunc": _by_python,
    "PrintV2": _by_printing,
    "RestoreV2": _from_a_checkpoint,
    "RegisterDatasetV2": _over_the_network,
    "WriteFile": _writing,
}


@pytest.mark.parametrize(("name", "work"), REACHING.items(), ids=list(REACHING))
def test_what_reaches_beyond_the_model_is_refused_by_name(
    name: str, work: Callable[[tf.Tensor], tf.Tensor], tmp_path: Path
) -> None:
    model = saved(Model(work), tmp_path / "model")
    with pytest.raises(ForbiddenOperationError, match=rf"is refused: it has {name.split()[0]}, which reach files"):
        check_operations(model)
    with pytest.raises(NotAReleaseError, match="is refused: it has"):
        load_released_model(model)


def test_nothing_of_a_refused_model_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self) -> tf.Tensor:
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="resource")

        def _initialize(self) -> None:
            tf.io.write_file(str(trace), "it ran")

    module = Model(lambda images: images)
    module.resource = Resource()
    module.resource.resource_handle  # noqa: B018 - makes it
    model = saved(module, tmp_path / "model")
    tf.saved_model.load(str(model))
    assert trace.read_text() == "it ran", "a SavedModel runs when it is loaded"
    trace.unlink()
    with pytest.raises(NotAReleaseError, match="it has WriteFile"):
        load_released_model(model)
    assert not trace.exists()


def test_a_vocabulary_may_be_an_asset_and_no_other_file(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("crack\nsound\n")
    table = table_of(str(words))
    module = Model(lambda images: table.lookup(images))
    module.table = table
    model = saved(module, tmp_path / "model")
    check_operations(model)

    # The function that reads the asset, called with another file.
    stored = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    library = stored.meta_graphs[0].graph_def.library.function
    (reader,) = (each for each in library if any(node.op in TABLES for node in each.node_def))
    caller = next(each for each in library if any("LookupTableFind" in node.op for node in each.node_def))
    caller.node_def.add(name="calls", op="StatefulPartitionedCall").attr["f"].func.name = reader.signature.name
    other = tmp_path / "calls"
    shutil.copytree(model, other)
    (other / "saved_model.pb").write_bytes(stored.SerializeToString())
    with pytest.raises(ForbiddenOperationError, match="it has InitializeTableFromTextFileV2"):
        check_operations(other)

    # The same with a path that a tensor gives.
    def read(images: tf.Tensor) -> tf.Tensor:
        handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        done = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=handle, filename=images[0], key_index=-2, value_index=-1
        )
        with tf.control_dependencies([done]):
            return tf.raw_ops.LookupTableFindV2(
                table_handle=handle, keys=images, default_value=tf.constant(-1, tf.int64)
            )

    with pytest.raises(ForbiddenOperationError, match="it has InitializeTableFromTextFileV2"):
        check_operations(saved(Model(read), tmp_path / "reads"))

    asset = model / "assets" / "words.txt"
    asset.rename(tmp_path / "aside")
    asset.symlink_to("/etc/passwd")
    with pytest.raises(ForbiddenOperationError, match=r"it has the asset 'words\.txt'"):
        check_operations(model)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "assets/model_version.txt"])
def test_a_model_with_a_file_that_never_ends_is_refused_at_once(name: str, toy_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(toy_model, model)
    file = model / name
    aside = file.rename(tmp_path / "aside")
    os.mkfifo(file)
    with pytest.raises((ForbiddenOperationError, OSError), match="a FIFO"):
        check_operations(model)
    # A link to a file is one, unless it is an asset.
    file.unlink()
    file.symlink_to(aside)
    if not name.startswith("assets"):
        check_operations(model)


def test_a_graph_that_no_protocol_buffer_holds_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "saved_model.pb").open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(OSError, match="larger than any protocol buffer"):
        check_operations(tmp_path)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "model_version.txt\0"])
def test_an_asset_is_a_file_of_the_model(name: str, toy_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(toy_model, model)
    stored = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    stored.meta_graphs[0].asset_file_def[0].filename = name
    (model / "saved_model.pb").write_bytes(stored.SerializeToString())
    with pytest.raises(ForbiddenOperationError, match=re.escape(f"it has the asset {name!r}")):
        check_operations(model)


def test_a_saver_may_save_only(toy_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(toy_model, model)
    stored = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    (restore,) = (
        function
        for function in stored.meta_graphs[0].graph_def.library.function
        if any(node.op == "RestoreV2" for node in function.node_def)
    )
    restore.node_def.add(name="more", op="ReadFile", input=["file_prefix"])
    (model / "saved_model.pb").write_bytes(stored.SerializeToString())
    with pytest.raises(ForbiddenOperationError, match="it has ReadFile"):
        check_operations(model)


def test_what_restores_neither_writes_nor_saves(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    model = saved(Model(lambda images: images), tmp_path / "model")
    whole = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())

    def store(change: Callable[[Any], None]) -> None:
        stored = saved_model_pb2.SavedModel.FromString(whole.SerializeToString())
        change(stored.meta_graphs[0])
        (model / "saved_model.pb").write_bytes(stored.SerializeToString())

    def write(graph: Any) -> None:
        with tf.Graph().as_default() as made:
            tf.raw_ops.WriteFile(filename=str(trace), contents="it ran", name="writes")
        restores = [node for node in graph.graph_def.node if node.name == graph.saver_def.restore_op_name]
        for called in called_functions(restores):
            library = graph.graph_def.library.function
            library.remove(next(function for function in library if function.signature.name == called))
        graph.graph_def.node.remove(*restores)
        graph.graph_def.node.extend(made.as_graph_def().node)
        graph.saver_def.restore_op_name = "writes"
        # As TensorFlow 1 wrote it: the node is run when the model is loaded.
        graph.ClearField("object_graph_def")

    store(write)
    tf.saved_model.load(str(model))
    assert trace.read_text() == "it ran", "a SavedModel runs when it is loaded"
    with pytest.raises(ForbiddenOperationError, match="it has WriteFile, which"):
        check_operations(model)

    def exchange(graph: Any) -> None:
        saver = graph.saver_def
        saver.save_tensor_name, saver.restore_op_name = f"{saver.restore_op_name}:0", saver.save_tensor_name[:-2]

    store(exchange)
    with pytest.raises(ForbiddenOperationError, match="it has MergeV2Checkpoints, SaveV2"):
        check_operations(model)


def test_models_that_compute_only_are_not_refused(toy_model: Path, tmp_path: Path) -> None:
    check_operations(toy_model)

    def compute(images: tf.Tensor) -> tf.Tensor:
        tf.print(tf.size(images))
        numbers = tf.data.Dataset.range(3).map(lambda x: x + 1).batch(3)
        kept = tf.random.uniform([3]) + tf.cast(numbers.get_single_element(), tf.float32)
        tf.debugging.assert_greater(tf.reduce_sum(kept), 0.0)
        return tf.map_fn(lambda image: tf.strings.length(image), images, fn_output_signature=tf.int32)

    check_operations(saved(Model(compute), tmp_path / "model"))


# Arguments by which an operation of TensorFlow names a file, a folder, a service or code.
_TELLING = re.compile(
    r"^(file_?names?|file_pattern|file_name|path|.*_path|.*_file|director(y|ies)|log_?dir.*|.*_prefix|prefix|address|"
    r"server|server_address|.*_urls|db_uri|protocol|graph_def|target|token|output_stream|shard_dir|chunk_file|.*target_name)$"
)
# They name something else, or read only what others of them opened.
_HARMLESS = {
    "ExperimentalSetStatsAggregatorDataset",
    "SetStatsAggregatorDataset",
}


def test_every_operation_of_tensorflow_that_names_a_file_or_a_service_is_known() -> None:
    raw = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    operations = {operation.name: operation for operation in op_def_pb2.OpList.FromString(raw).op}
    telling = {
        name
        for name, operation in operations.items()
        if any(_TELLING.match(argument.name) for argument in (*operation.input_arg, *operation.attr))
    }
    known = FORBIDDEN | SAVER | TABLES | {PRINT}
    assert {name for name in telling if name.removeprefix("Experimental") not in known} == _HARMLESS
    assert len(telling) > 50
    assert FORBIDDEN - operations.keys() == set(), "a name that TensorFlow does not have refuses nothing"
