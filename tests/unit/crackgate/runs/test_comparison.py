import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from crackgate.contracts.evaluation import MetricValue
from crackgate.contracts.verdict import Verdict
from crackgate.runs.comparison import RunComparison, compare
from crackgate.runs.details import describe_details
from crackgate.runs.history import read_history
from crackgate.runs.summary import SUMMARY_FILE
from crackgate_cli.main import app
from crackgate_cli.tables.history import print_comparison, print_details, print_runs
from tests.helpers.recorded_runs import RecordedRuns

FIRST, SECOND, OTHER = "20261122-160000", "20261122-160100", "20261122-160200"
VERSION = 1795364374


def values(*named: tuple[str, str | None, float]) -> list[MetricValue]:
    return [MetricValue(metric=metric, label=label, value=value) for metric, label, value in named]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RecordedRuns:
    """A release, a refused model of the same images, and a refused one of images split otherwise."""
    recorded = RecordedRuns(tmp_path_factory.mktemp("recorded"))
    recorded.begin(FIRST)
    examples = recorded.ingest(FIRST, "f1", output_config="70/15/15")
    model = recorded.train(FIRST, examples, digest="t1")
    recorded.judge(FIRST, examples, model, version=VERSION)
    recorded.summarize(
        FIRST, Verdict.RELEASED, metrics=values(("accuracy", None, 0.75), ("log_loss", None, 0.5)), minute=0
    )

    recorded.begin(SECOND)
    recorded.record(
        SECOND, "ImageExampleGen", "CACHED", outputs={"examples": examples}, parameters={"code_digest": "a1"}
    )
    recorded.judge(SECOND, examples, recorded.train(SECOND, examples, digest="t2"), baseline=model)
    metrics = values(("accuracy", None, 0.5), ("recall_at_precision", "[b_c]", 0.25))
    recorded.summarize(SECOND, Verdict.REFUSED, "train.views=2", "schema.brightness.min=20", metrics=metrics, minute=1)

    recorded.begin(OTHER)
    examples = recorded.ingest(OTHER, "f2", output_config="60/20/20")
    recorded.judge(OTHER, examples, recorded.train(OTHER, examples))
    recorded.summarize(OTHER, Verdict.REFUSED, metrics=values(("accuracy", None, 1.0)), minute=2)
    return recorded


@pytest.fixture
def recorded(template: RecordedRuns, tmp_path: Path) -> RecordedRuns:
    """A copy of the template, for one test."""
    return template.copied_to(tmp_path / "workspace")


def compared(recorded: RecordedRuns, first: str, second: str) -> RunComparison:
    history = read_history(recorded.workspace)
    return compare(history, history.find(first), history.find(second))


def printed(comparison: RunComparison) -> str:
    text = io.StringIO()
    print_comparison(Console(file=text, width=100), comparison)
    return text.getvalue()


def test_metrics_of_the_same_test_images_are_subtracted(recorded: RecordedRuns) -> None:
    comparison = compared(recorded, FIRST, SECOND)
    assert comparison.splits.same and comparison.splits.differing == []
    assert {pair.key: pair.difference for pair in comparison.metrics} == {
        ("accuracy", None): -0.25,
        ("log_loss", None): None,
        ("recall_at_precision", "[b_c]"): None,
    }
    assert comparison.metrics[1].second is None
    text = printed(comparison)
    assert "-0.2500" in text and "the same test images" in text and "recall at precision of [b_c]" in text


def test_metrics_of_other_test_images_are_not_subtracted_and_why_is_said(recorded: RecordedRuns) -> None:
    comparison = compared(recorded, FIRST, OTHER)
    assert comparison.splits.same is False
    assert comparison.splits.differing == ["fingerprint of the data folder", "data.split"]
    assert comparison.metrics[0].difference is None
    text = printed(comparison)
    assert "not comparable" in text and "another data.split" in text and "+0.2500" not in text


def test_the_same_images_ingested_anew_are_the_same_splits(recorded: RecordedRuns) -> None:
    recorded.begin("anew")
    recorded.ingest("anew", "f1", output_config="70/15/15")
    assert compared(recorded, FIRST, "anew").splits.same


def test_whether_a_run_that_never_split_has_the_same_splits_is_not_known(recorded: RecordedRuns) -> None:
    recorded.summarize("rejected", Verdict.DATA_REJECTED)
    comparison = compared(recorded, FIRST, "rejected")
    assert comparison.splits.same is None and comparison.metrics[0].second is None
    assert comparison.data["folder"].second == "/photographs" and comparison.data["fingerprint"].second is None
    assert "never split" in printed(comparison)


def test_only_what_differs_of_the_configuration_is_shown(recorded: RecordedRuns) -> None:
    comparison = compared(recorded, FIRST, SECOND)
    assert comparison.configuration is not None
    differing = {name: (pair.first, pair.second) for name, pair in comparison.configuration.items()}
    assert differing == {"train.views": (3, 2), "schema.brightness.min": (0.0, 20.0)}
    assert compared(recorded, FIRST, OTHER).configuration == {}
    (recorded.workspace.runs / SECOND / SUMMARY_FILE).unlink()
    unknown = compared(recorded, FIRST, SECOND)
    assert unknown.configuration is None and "not known" in printed(unknown)


def test_code_and_data_and_durations_are_compared(recorded: RecordedRuns) -> None:
    comparison = compared(recorded, FIRST, SECOND)
    code = {name: (pair.first, pair.second) for name, pair in comparison.versions.items() if "code" in name}
    assert code == {"code of Trainer": ("t1", "t2")}
    assert comparison.versions["TFX"].first == "1.21.0"
    assert comparison.data["fingerprint"].first == comparison.data["fingerprint"].second == "f1"
    assert comparison.data["test images"].first == 10
    assert comparison.seconds["all"].first == 75.4
    assert comparison.seconds["ImageExampleGen"].first is not None
    assert comparison.seconds["ImageExampleGen"].second is None, "it was taken over"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_tables_show_ids_whole_at_any_width(recorded: RecordedRuns, width: int) -> None:
    history = read_history(recorded.workspace)
    text = io.StringIO()
    print_runs(Console(file=text, width=width), [history.describe(run) for run in history.runs])
    for run_id in (FIRST, SECOND, OTHER):
        assert run_id in text.getvalue()
    assert "…" not in text.getvalue()


def test_details_print_verdict_reasons_and_lineage(recorded: RecordedRuns) -> None:
    history = read_history(recorded.workspace)
    text = io.StringIO()
    details = describe_details(history, history.find(SECOND))
    details.report = "/runs/2/report.html"
    details.run.metrics[0] = MetricValue(metric="accuracy", value=0.5, low=0.25, high=0.75)
    print_details(Console(file=text, width=60), details)
    for part in (
        "refused",
        "it is refused",
        "0.5000 (0.2500 to 0.7500) on 10 test images",
        f"ImageExampleGen: execution 1, taken over from run {FIRST}",
        f"made examples 1  /artifacts/ImageExampleGen/examples/{FIRST}",
        f"baseline: model 2, version {VERSION}, released by run {FIRST}",
        "fingerprint  f1",
        "/runs/2/report.html",
    ):
        assert part in text.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "--workspace", "{}", "--json"],
        ["runs", "show", "latest", "--workspace", "{}", "--json"],
        ["runs", "--workspace", "{}", "--json", "show", "latest"],
        ["compare", FIRST, f"version {VERSION}", "--workspace", "{}", "--json"],
    ],
)
def test_every_command_prints_json(recorded: RecordedRuns, arguments: list[str]) -> None:
    done = CliRunner().invoke(app, [argument.format(recorded.workspace.root) for argument in arguments])
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    if "compare" in arguments:
        assert content["first"] == content["second"] and content["first"]["version"] == VERSION
    else:
        run = content["run"] if "show" in arguments else content[0]
        assert run["run_id"] == OTHER


@pytest.mark.parametrize("arguments", [["runs"], ["runs", "show", "latest"], ["compare", "latest", "latest"]])
def test_a_workspace_that_is_not_there_is_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*arguments, "--workspace", str(tmp_path / "absent")])
    assert done.exit_code == 2 and "absent" in done.stderr


def test_the_history_needs_neither_tfx_nor_tensorflow() -> None:
    code = (
        "import sys\n"
        "import crackgate_cli.main, crackgate_cli.tables.history, crackgate.runs.comparison, crackgate.runs.details\n"
        "assert not {'tfx', 'tensorflow', 'apache_beam', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
