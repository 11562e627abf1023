"""The components in pipelines of others: a notebook, other splits than ours, a folder that only the run knows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# As a stranger would write them.
CELLS = (
    """
from tfx.components import StatisticsGen
from tfx.orchestration.experimental.interactive.interactive_context import InteractiveContext

from components.data_page.component import DataPage
from components.drift_check.component import DriftCheck
from components.image_example_gen.component import ImageExampleGen
from components.leak_check.component import LeakCheck

context = InteractiveContext(pipeline_root=root, beam_pipeline_args=["--runner=FnApiRunner"])
example_gen = ImageExampleGen(data, split_ratios={"train": 2, "eval": 1})
context.run(example_gen)
""",
    """
statistics_gen = StatisticsGen(examples=example_gen.outputs["examples"])
context.run(statistics_gen)
""",
    """
page = DataPage(
    examples=example_gen.outputs["examples"],
    statistics=statistics_gen.outputs["statistics"],
    account=example_gen.outputs["account"],
    conflicts=example_gen.outputs["conflicts"],
)
context.run(page)
""",
    """
drift_check = DriftCheck(examples=example_gen.outputs["examples"], statistics=statistics_gen.outputs["statistics"])
context.run(drift_check)
leak_check = LeakCheck(example_gen.outputs["examples"])
context.run(leak_check)
""",
)


@pytest.fixture(scope="module")
def shell(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[InteractiveShell]":
    """A notebook's shell that has run all cells."""
    pytest.importorskip("nbformat", reason="TFX's InteractiveContext needs nbformat: make install")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.push({"data": str(photographs), "root": str(tmp_path_factory.mktemp("notebook"))})
    for cell in CELLS:
        shell.run_cell(cell).raise_error()
    yield shell
    InteractiveShell.clear_instance()


def _content(shell: "InteractiveShell", component: str, output: str) -> Any:
    (artifact,) = shell.user_ns[component].outputs[output].get()
    return json.loads(Path(artifact.uri).read_text(encoding="utf-8"))


def test_a_notebook_ingests_images_into_two_splits(shell: "InteractiveShell") -> None:
    (examples,) = shell.user_ns["example_gen"].outputs["examples"].get()
    assert json.loads(examples.split_names) == ["train", "eval"]
    assert {path.parent.name for path in Path(examples.uri).rglob("*.gz")} == {"Split-train", "Split-eval"}
    account = _content(shell, "example_gen", "account")
    assert account["found"] == account["ingested"] == 40
    assert account["splits"].keys() == {"train", "eval"}


def test_a_notebook_checks_them(shell: "InteractiveShell") -> None:
    assert _content(shell, "leak_check", "findings")["leaks"] == 0
    findings = _content(shell, "drift_check", "findings")
    assert findings["drift"] is None and findings["skew"].keys() == {"eval"}


def test_a_notebook_shows_them(shell: "InteractiveShell") -> None:
    (page,) = shell.user_ns["page"].outputs["page"].get()
    html = (Path(page.uri) / "data.html").read_text(encoding="utf-8")
    assert "40" in html and "eval" in html and ">test<" not in html


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"folder": "http://host/photographs"}, "folder: received 'http://host/photographs'; allowed are a path"),
        ({"folder": Path("s3://bucket/photographs")}, "folder: received 's3:/bucket/photographs'.*a slash missing"),
        ({"folder": ""}, "folder: received ''; allowed are a path"),
        ({"folder": None}, "folder: received 'None'; allowed are a path"),
        ({"split_ratios": {"dev": 1, "holdout": 2}}, "split_ratios: received .*'dev': 1.*some of train, eval, test"),
        ({"split_ratios": {"train": 0.7, "test": 0.3}}, "split_ratios: .*allowed are whole numbers from 1 on"),
        ({"split_ratios": {"train": 4, "test": 0}}, "split_ratios: .*allowed are whole numbers from 1 on"),
        ({"split_ratios": {}}, "split_ratios: .*allowed are whole numbers from 1 on"),
        ({"split_ratios": 3}, "split_ratios: received 3; allowed are whole numbers from 1 on"),
        ({"classes": "Positive"}, "classes: received 'Positive'; allowed is a list of two names or more"),
        ({"classes": ["a", "a"]}, r"classes: received \['a', 'a'\]; allowed is a list of two names or more, each once"),
        ({"classes": {"a": ["b"], "c": ["d"]}}, "classes: received {.*}; allowed is a list of two names or more"),
        ({"classes": [1, 2]}, r"classes: received \[1, 2\]; allowed is a list of two names or more"),
        ({"options": {"copies": "ignore"}}, r"options: .*allowed is an object of crackgate\.config\.data"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(arguments: dict[str, Any], said: str) -> None:
    from components.image_example_gen.component import ImageExampleGen

    with pytest.raises((ValueError, TypeError), match=said):
        ImageExampleGen(**{"folder": "/data/photographs", **arguments})


def test_wrong_arguments_of_checks_are_refused(shell: "InteractiveShell") -> None:
    from components.data_gate.component import DataGate
    from components.leak_check.component import LeakCheck

    outputs = shell.user_ns["example_gen"].outputs
    with pytest.raises(ValueError, match="copies: received 'ignored'; allowed are 'group', 'ignore'"):
        LeakCheck(outputs["examples"], copies="ignored")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"positive_classes: received \['c'\]; allowed is a list of some of \['a', 'b'\]"
    ):
        DataGate(outputs["examples"], outputs["account"], None, None, ["a", "b"], ["c"])


# Images as a stranger stores them, in splits of their own.
STRANGERS_EXAMPLES = """
from pathlib import Path
import tensorflow as tf
from tfx.components import ImportExampleGen
from tfx.proto import example_gen_pb2

Split = example_gen_pb2.Input.Split
for split in ("train", "hold-out"):
    with tf.io.TFRecordWriter(f"{records}/{split}.tfrecord") as writer:
        for file in Path(data).rglob("*1.jpg"):
            content = tf.train.Feature(bytes_list=tf.train.BytesList(value=[file.read_bytes()]))
            features = tf.train.Features(feature={"image/encoded": content})
            writer.write(tf.train.Example(features=features).SerializeToString())
splits = [Split(name=name, pattern=f"{name}.tfrecord") for name in ("train", "hold-out")]
strange = ImportExampleGen(input_base=records, input_config=example_gen_pb2.Input(splits=splits))
context.run(strange)
strange_statistics = StatisticsGen(examples=strange.outputs["examples"])
context.run(strange_statistics)
"""
GATE = """
from tfx.components import ExampleValidator
from components.curated_schema.component import CuratedSchema
from components.data_gate.component import DataGate

schema = CuratedSchema(["Negative", "Positive"])
context.run(schema)
validator = ExampleValidator(statistics_gen.outputs["statistics"], schema.outputs["schema"])
context.run(validator)
context.run(DataGate(
    examples=example_gen.outputs["examples"],
    account=example_gen.outputs["account"],
    anomalies=validator.outputs["anomalies"],
    scale=page.outputs["scale"],
    classes=["Negative", "Positive"],
    positive_classes=["Positive"],
))
"""
SERVING_CHECK = """
from tfx.dsl.components.common.importer import Importer
from tfx.types import standard_artifacts
from components.serving_check.component import ServingCheck

def imported(kind, **properties):
    importer = Importer(records, artifact_type=kind, reimport=True, custom_properties=properties)
    context.run(importer.with_id(kind.__name__))
    return importer.outputs["result"]

model, model_run = imported(standard_artifacts.Model), imported(standard_artifacts.ModelRun)
blessing = imported(standard_artifacts.ModelBlessing, blessed=1)
serving_check = ServingCheck(model, model_run, blessing, ["Negative", "Positive"], ["Positive"])
context.run(serving_check)
"""


def _error(shell: "InteractiveShell", cell: str) -> str:
    return str(shell.run_cell(cell, silent=True).error_in_exec)


def test_examples_of_others_are_refused_by_what_they_lack(shell: "InteractiveShell", tmp_path: Path) -> None:
    shell.push({"records": str(tmp_path)})
    shell.run_cell(STRANGERS_EXAMPLES).raise_error()
    examples = 'strange.outputs["examples"]'
    said = _error(shell, f'context.run(DriftCheck({examples}, strange_statistics.outputs["statistics"]))')
    assert "'hold-out': its statistics and those of split 'train' have none of image/quality/brightness" in said
    account = 'example_gen.outputs["account"], example_gen.outputs["conflicts"]'
    for use in (f"LeakCheck({examples})", f'DataPage({examples}, strange_statistics.outputs["statistics"], {account})'):
        said = _error(shell, f"context.run({use})")
        assert said.startswith("the examples of split 'train' have no image/") and "received are image/encoded" in said


def test_a_gate_without_a_test_split_says_so(shell: "InteractiveShell") -> None:
    assert "one of the splits train, eval; DataGate needs test" in _error(shell, GATE)


def test_a_model_of_another_trainer_is_refused_by_what_it_lacks(shell: "InteractiveShell", tmp_path: Path) -> None:
    shell.push({"records": str(tmp_path)})
    shell.run_cell(SERVING_CHECK).raise_error()
    findings = _content(shell, "serving_check", "findings")
    assert not findings["passed"] and "a Trainer with trainer.run_fn.run_fn writes it" in findings["reasons"][0]


@pytest.mark.parametrize("serving_dir", ["s3://bucket/serving", Path("gs://bucket/serving"), "serving"])
def test_a_serving_directory_is_an_absolute_path(serving_dir: Any) -> None:
    from components.release_pusher.component import ReleasePusher
    from components.resolvers.statistics import ReleasedStatisticsStrategy

    for use in (
        lambda: ReleasePusher(None, None, None, None, None, serving_dir),
        lambda: ReleasedStatisticsStrategy(serving_dir, ["a", "b"], ""),
    ):
        with pytest.raises(ValueError, match=r"serving_dir: received .*; allowed is an absolute path"):
            use()


def test_the_folder_may_be_a_parameter_of_the_run(photographs: Path, tmp_path: Path) -> None:
    from tfx import v1 as tfx
    from tfx.dsl.compiler import compiler, constants
    from tfx.orchestration.portable import runtime_parameter_utils

    from components.image_example_gen.component import ImageExampleGen

    folder = tfx.dsl.experimental.RuntimeParameter(name="folder", ptype=str)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="of-others",
        pipeline_root=str(tmp_path / "artifacts"),
        components=[ImageExampleGen(folder)],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(tmp_path / "metadata.sqlite")
        ),
        beam_pipeline_args=["--runner=FnApiRunner"],
    )
    definition = compiler.Compiler().compile(pipeline)
    given = {"folder": str(photographs), constants.PIPELINE_RUN_ID_PARAMETER_NAME: "one"}
    runtime_parameter_utils.substitute_runtime_parameter(definition, given)
    tfx.orchestration.LocalDagRunner().run_with_ir(definition)
    (account,) = (tmp_path / "artifacts" / "ImageExampleGen" / "account").rglob("value")
    assert json.loads(account.read_text(encoding="utf-8"))["ingested"] == 40
