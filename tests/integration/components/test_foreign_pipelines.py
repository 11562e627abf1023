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
