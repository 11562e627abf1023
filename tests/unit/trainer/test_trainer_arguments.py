"""Arguments of a TFX Trainer in pipelines that are not ours: other formats, remote folders, what is missing."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import DataAccessor, FnArgs
from tfx.components.util import tfxio_utils
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem
from tfx.types import standard_artifacts

from trainer.input_pipeline import digest_examples, read_examples, read_labels
from trainer.trainer_arguments import check_arguments, local_outputs, readable_examples
from trainer.tuner import tuner_fn

IMAGE, LABEL = "image/encoded", "image/class/label"


def _example(**features: Any) -> bytes:
    example = tf.train.Example()
    for name, value in features.items():
        feature = example.features.feature["image/" + name.replace("_", "/")]
        (feature.int64_list if isinstance(value, int) else feature.bytes_list).value.append(value)
    return example.SerializeToString()


def _write(file: Path, examples: list[bytes], compression: str = "GZIP") -> str:
    with tf.io.TFRecordWriter(str(file), compression) as writer:
        for example in examples:
            writer.write(example)
    return str(file)


@pytest.fixture
def accessor() -> DataAccessor:
    """As TFX's Trainer makes it."""
    artifact = standard_artifacts.Examples()
    factories = (
        tfxio_utils.get_tf_dataset_factory_from_artifact([artifact], []),
        tfxio_utils.get_record_batch_factory_from_artifact([artifact], []),
    )
    return DataAccessor(*factories, None)


@pytest.fixture
def arguments(tmp_path: Path) -> Callable[..., FnArgs]:
    def make(examples: list[bytes], compression: str = "GZIP", **more: Any) -> FnArgs:
        suffix = ".gz" if compression else ""
        files = {
            f"{split}_files": [_write(tmp_path / f"{split}{suffix}", examples, compression)]
            for split in ("train", "eval")
        }
        return FnArgs(**files, custom_config={"classes": ["a", "b"]}, **more)

    return make


GOOD = [_example(encoded=f"image {number}".encode(), class_label=number % 2, other=b"x") for number in range(5)]


def test_compressed_examples_are_read_where_they_lie(arguments: Callable[..., FnArgs]) -> None:
    given = arguments(GOOD)
    with readable_examples(given) as readable:
        assert (readable.train_files, readable.eval_files) == (given.train_files, given.eval_files)


def test_another_format_is_read_through_the_data_accessor(
    arguments: Callable[..., FnArgs], accessor: DataAccessor
) -> None:
    given = arguments(GOOD, compression="", data_accessor=accessor)
    with readable_examples(given) as readable:
        assert readable.train_files != given.train_files
        assert read_labels(readable.train_files).tolist() == [0, 1, 0, 1, 0]
        records = [
            tf.train.Example.FromString(record) for record in read_examples(readable.eval_files).as_numpy_iterator()
        ]
        images = [record.features.feature[IMAGE].bytes_list.value[0] for record in records]
        assert images == [f"image {number}".encode() for number in range(5)]
        copied = Path(readable.train_files[0])
    assert not copied.exists()


@pytest.mark.parametrize("compression", ["GZIP", ""], ids=["gzip", "plain"])
@pytest.mark.parametrize(
    ("example", "said"),
    [
        (_example(class_label=1, raw=b""), "'image/encoded' .the bytes of one image file."),
        (_example(encoded=b"i"), "'image/class/label' .one whole number, the place of its class"),
    ],
    ids=["image", "label"],
)
def test_examples_that_lack_a_feature_are_refused_by_its_name(
    arguments: Callable[..., FnArgs], accessor: DataAccessor, example: bytes, said: str, compression: str
) -> None:
    given = arguments([example], compression, data_accessor=accessor)
    with pytest.raises(ValueError, match=f"train_files: .*lack.*{said}"), readable_examples(given):
        pass


def test_unknown_formats_and_absent_files_are_refused(arguments: Callable[..., FnArgs], tmp_path: Path) -> None:
    unknown = arguments(GOOD, compression="")
    with pytest.raises(ValueError, match=r"no gzipped TFRecord files .*no data_accessor"), readable_examples(unknown):
        pass
    absent = FnArgs(train_files=[str(tmp_path / "absent" / "*")], eval_files=[])
    with pytest.raises(ValueError, match=r"train_files: no file is at '.*absent/\*'"), readable_examples(absent):
        pass


@pytest.mark.parametrize("config", [None, {}, {"classes": ["one"]}, {"options": {}}])
def test_classes_are_needed_and_nothing_else(config: dict[str, Any] | None) -> None:
    with pytest.raises(ValueError, match=r"custom_config: received .*needed is 'classes'"):
        check_arguments(FnArgs(custom_config=config))
    check_arguments(FnArgs(custom_config={"classes": ["a", "b"]}))


def test_a_url_is_no_work_folder() -> None:
    config = {"classes": ["a", "b"], "work_dir": "gs://bucket/work"}
    with pytest.raises(ValueError, match="work_dir: received 'gs://bucket/work', allowed is a folder of this machine"):
        check_arguments(FnArgs(custom_config=config))
    remote = FnArgs(custom_config={"classes": ["a", "b"], "trials": 1}, working_dir="gs://bucket/root/.temp")
    with pytest.raises(ValueError, match=r"working_dir: received 'gs://bucket/root/\.temp'.*give custom_config"):
        tuner_fn(remote)


def test_a_schema_that_lacks_a_feature_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "schema.pbtxt"
    given = FnArgs(custom_config={"classes": ["a", "b"]}, schema_path=str(file))
    file.write_text(f'feature {{ name: "{IMAGE}" type: BYTES }}')
    with pytest.raises(ValueError, match=rf"lacks '{LABEL}' .*; it has '{IMAGE}'"):
        check_arguments(given)
    file.write_text(f'feature {{ name: "{IMAGE}" type: BYTES }} feature {{ name: "{LABEL}" type: INT }}')
    check_arguments(given)


def test_a_number_of_steps_is_not_followed_silently(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "crackgate"):
        check_arguments(FnArgs(custom_config={"classes": ["a", "b"]}, train_steps=100))
    assert "train_args.num_steps = 100 is not followed" in caplog.text


def test_what_is_written_reaches_remote_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    # TensorFlow's file system in memory, reached through TFX.
    monkeypatch.setattr(TensorflowFilesystem, "SUPPORTED_SCHEMES", ["ram://"])
    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    before = dict(registry._preferred_filesystem_by_scheme)
    registry.register(TensorflowFilesystem, priority=100)
    try:
        given = FnArgs(serving_model_dir="ram://bucket/model", model_run_dir="ram://bucket/run")
        with local_outputs(given) as local:
            (Path(local.serving_model_dir) / "assets.extra").mkdir(parents=True)
            (Path(local.serving_model_dir) / "assets.extra" / "card.json").write_text("{}")
        assert tf.io.gfile.GFile("ram://bucket/model/assets.extra/card.json").read() == "{}"
        assert not tf.io.gfile.exists("ram://bucket/run")
    finally:
        registry._preferred_filesystem_by_scheme = before


def test_local_folders_are_written_as_they_are(tmp_path: Path) -> None:
    given = FnArgs(serving_model_dir=str(tmp_path / "model"), model_run_dir=str(tmp_path / "run"))
    with local_outputs(given) as local:
        assert (local.serving_model_dir, local.model_run_dir) == (given.serving_model_dir, given.model_run_dir)


def test_remote_examples_have_a_digest_of_their_own() -> None:
    for number in range(2):
        with tf.io.gfile.GFile(f"ram://digests/{number}.gz", "w") as stream:
            stream.write(str(number))
    first, second, both = (digest_examples([f"ram://digests/{name}"]) for name in ("0.gz", "1.gz", "*.gz"))
    assert len({first, second, both}) == 3
