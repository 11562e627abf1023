import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from crackgate.config.configuration import Config
from crackgate.contracts.evaluation import (
    ALL_IMAGES,
    Comparison,
    Estimate,
    Evaluation,
    MetricValue,
    Outcome,
    Requirement,
    SliceMetrics,
)
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.serving_findings import ServingCheckResult, ServingFindings
from crackgate.contracts.verdict import EXIT_CODES, Verdict
from crackgate.runs.summary import (
    SUMMARY_FILE,
    ComponentTime,
    Images,
    Summary,
    begin_summary,
)
from crackgate_cli.tables.summary import print_summary

ACCOUNT = {
    "found": 7,
    "ingested": 5,
    "groups": 4,
    "rejected": [
        {"path": "a/[b].jpg", "class": "a", "reason": "truncated", "detail": "x"},
        {"path": "a/c.jpg", "class": "a", "reason": "empty file", "detail": "0 bytes"},
    ],
    "splits": {"eval": {"a": 1, "b": 0}, "test": {"a": 0, "b": 1}, "train": {"a": 2, "b": 1}},
}


@pytest.fixture
def summary() -> Summary:
    summary = begin_summary(
        "run 1",
        Path("/data"),
        ["a", "b"],
        PositiveClasses(names=("b",), chosen_by="configuration"),
        Config(),
        Path("/logs/run 1.log"),
    )
    summary.images = Images.model_validate(ACCOUNT)
    summary.components = [ComponentTime(name="Trainer", state="cached", seconds=0.04)]
    return summary


def requirement(metric: str, **more: Any) -> Requirement:
    line = {"images": 40, "estimate": Estimate(value=1), "bound": 0.9, "direction": "at least", "judged_by": "estimate"}
    return Requirement(metric=metric, **{"outcome": Outcome.PASSED, **line, **more})


def closing(summary: Summary) -> str:
    text = io.StringIO()
    print_summary(Console(file=text, width=100), summary, "/runs/run 1/summary.json")
    return text.getvalue()


def test_every_verdict_has_its_exit_code() -> None:
    assert EXIT_CODES == {
        Verdict.RELEASED: 0,
        Verdict.UNCHANGED: 0,
        Verdict.STAGED: 0,
        Verdict.PASSED: 0,
        Verdict.FAILED: 1,
        Verdict.REFUSED: 3,
        Verdict.WITHDRAWN: 3,
        Verdict.DATA_REJECTED: 4,
    }


def test_a_summary_that_was_never_concluded_counts_as_failed(summary: Summary) -> None:
    assert summary.verdict == Verdict.FAILED and summary.exit_code == 1


def test_the_account_of_ingest_is_taken_over_with_splits_in_their_own_order(summary: Summary) -> None:
    assert list(summary.images.splits) == ["train", "eval", "test"]
    assert summary.images.rejected_by_reason == {"truncated": 1, "empty file": 1}


@settings(deadline=None)
@given(st.sampled_from(list(Verdict)), st.lists(st.text()))
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, verdict: Verdict, reasons: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    written = begin_summary("id", Path("/d"), ["a"], PositiveClasses(), Config(), Path("/l"))
    written.conclude(verdict, [reason.encode("utf-8", "replace").decode() for reason in reasons])
    written.write(folder)
    assert [path.name for path in folder.iterdir()] == [SUMMARY_FILE]
    assert Summary.model_validate_json((folder / SUMMARY_FILE).read_text(encoding="utf-8")) == written
    assert json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))["config"]["schema"]["height"]["min"] == 1


def test_the_closing_words_of_a_release(summary: Summary) -> None:
    summary.evaluation = Evaluation(
        requirements=[
            requirement(
                "recall", label="[a]", estimate=Estimate(value=0.98765, low=0.91, high=1), judged_by="lower bound"
            ),
            requirement("recall", label="[a]", slice="dark", images=7, outcome=Outcome.WARNED),
        ],
        slices=[SliceMetrics(name=ALL_IMAGES, images=40, metrics=[])],
        warnings=["nobody knows"],
    )
    summary.pushed_version, summary.pushed_to = 17, "/serving/17"
    summary.conclude(Verdict.RELEASED, [])
    text = closing(summary)
    for part in ("7 found, 5 ingested, 2 rejected", "RELEASED as version 17", "/serving/17", "recall of [a]", "0.9877"):
        assert part in text
    assert "they form 4 groups" in text and "no other released model" in text
    for part in (
        "Gate: 40 test images",
        "0.9100 to 1.0000",
        "bound ≥ 0.9000",
        "dark (7)",
        "warned",
        "nobody knows",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100
    assert "'a/[b].jpg'" in text, "brackets in paths are no markup"


def test_the_closing_words_say_which_classes_are_positive(summary: Summary) -> None:
    text = closing(summary)
    assert re.search(r"positive +│ no │ yes │", text)
    assert "\npositive, so not to be missed: 'b' (as configured); not positive: 'a'\n" in text
    summary.positive = PositiveClasses()
    text = closing(summary)
    assert re.search(r"positive +│ no │ no │", text) and "warning: no class of 'a' and 'b' counts as positive" in text


def test_the_closing_words_of_a_refusal(summary: Summary) -> None:
    summary.evaluation = Evaluation(
        requirements=[
            requirement("accuracy", estimate=Estimate(value=None), outcome=Outcome.FAILED),
            *(requirement("auc", label=f"class {number}") for number in range(20)),
            requirement("recall", label="class 3", change="absolute", outcome=Outcome.FAILED),
        ],
        slices=[
            SliceMetrics(name=ALL_IMAGES, images=40, metrics=[], baseline=[MetricValue(metric="accuracy", value=0.95)])
        ],
        comparison=Comparison(only_candidate_right=1, only_baseline_right=9, p_value=0.0215),
    )
    summary.conclude(Verdict.REFUSED, ["accuracy: not a number, required ≥ 0.9000"])
    text = closing(summary)
    for part in ("REFUSED", "failed", "not a number", "accuracy of the model in production: 0.9500", "p = 0.021"):
        assert part in text
    assert "change of recall of class 3" in text
    assert "auc" not in text and "20 more passed" in text, "of a long gate, what matters"
    assert "RELEASED" not in text


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.PASSED, "PASSED: the model passed the gate"),
        (Verdict.REFUSED, "REFUSED: the model did not pass its checks"),
        (Verdict.DATA_REJECTED, "DATA REJECTED: the data did not pass its checks"),
        (Verdict.FAILED, "FAILED: the run came to no verdict"),
    ],
)
def test_a_gate_that_releases_nothing_does_not_speak_of_releases(verdict: Verdict, said: str, summary: Summary) -> None:
    summary.judges_only = True
    summary.conclude(verdict, [])
    text = closing(summary)
    assert said in text and "RELEASED" not in text
    assert "eleased" not in summary.headline


def test_the_serving_check_is_said_in_a_few_words() -> None:
    found = ServingFindings(
        passed=True,
        checks=[
            ServingCheckResult(name="empty batch", outcome="passed", detail="answered with nothing"),
            ServingCheckResult(name="TensorFlow Serving", outcome="skipped", detail="there is none on the PATH"),
        ],
        metrics={"p50_ms_one": 16.25, "p99_ms_one": 41.5, "peak_memory_mib": 1812.4},
    )
    assert found.in_words() == (
        "1 of 1 checks passed; TensorFlow Serving skipped, there is none on the PATH; one image in 16 ms, at most 42 "
        "ms; 1,812 MiB"
    )
    assert ServingFindings(passed=False).in_words() == "0 of 0 checks passed"
