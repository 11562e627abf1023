"""The report's files: they say what the summary says, whichever way the run ended, and hostile names stay text."""

import base64
import io
import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from crackgate.contracts.doubtful_label import DoubtfulLabel, DoubtfulLabels, TrainingDoubts
from crackgate.contracts.evaluation import Outcome
from crackgate.contracts.serving_findings import ServingCheckResult
from crackgate.contracts.verdict import EXIT_CODES, Verdict
from crackgate.pages.thumbnails import to_data_uri
from crackgate.report.content import CheckOutcome, Report, describe_checks, explain
from crackgate.report.files import write_report
from crackgate.report.gates_xml import render_gates
from crackgate.report.json_schema import report_schema
from crackgate.report.model_card import render_model_card
from crackgate.report.page import render_page
from crackgate.report.provenance import INSTALLED, read_commit
from crackgate.runs.summary import ComponentTime, Summary
from crackgate_cli.tables.summary import print_summary
from pipeline.run_record import write_record
from tests.helpers.filled_summary import CHECKED, POSITIVE, fill_summary, requirement
from tests.helpers.made_report import HOSTILE, LINKS, LinedPage, empty_summary, make_notable_images, make_report

PROJECT = Path(__file__).resolve().parents[4]
SCHEMA = PROJECT / "docs" / "report.schema.json"


# Words


def test_images_of_two_splits_that_overlap_are_a_warning_with_their_names() -> None:
    summary = fill_summary()
    assert not any("same place" in sentence for sentence in explain(summary))
    summary.images.overlaps = 2
    summary.images.overlap_examples = [("test: a/1.jpg", "train: b/2.jpg"), ("test: a/3.jpg", "train: b/4.jpg")]
    (warning,) = (sentence for sentence in explain(summary) if "same place" in sentence)
    assert warning.startswith("Warning: 2 pairs of images in two splits") and "'test: a/1.jpg'" in warning
    summary.components = [ComponentTime(name="LeakCheck", state="complete", seconds=1)]
    summary.images.copies = summary.images.leaks = 0
    (check,) = (check for check in describe_checks(summary) if check.component == "LeakCheck")
    assert check.findings[1:] == [
        "may show the same place: 'test: a/1.jpg' and 'train: b/2.jpg'",
        "may show the same place: 'test: a/3.jpg' and 'train: b/4.jpg'",
    ]


def test_a_release_is_explained_with_its_warnings_and_the_comparison() -> None:
    assert fill_summary().headline == "Released as version 17"
    assert explain(fill_summary()) == [
        "All 3 requirements were met, on 60 test images.",
        "Too few images to decide on: recall of Positive, dark.",
        "Compared with the model in production on the same images, only the new model classified 5 correctly, only the "
        "old one 2. So uneven a split may well be chance (McNemar's test, p = 0.453).",
    ]


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([Outcome.PASSED], ["1 requirement was met, on 60 test images."]),
        ([Outcome.FAILED, Outcome.WARNED], ["0 of 1 requirement was met, on 60 test images."]),
        ([Outcome.WARNED], []),
    ],
    ids=["met", "missed", "undecided"],
)
def test_one_requirement_is_counted_as_one_and_none_is_not_counted(outcomes: list[Outcome], said: list[str]) -> None:
    summary = fill_summary()
    assert summary.evaluation is not None
    summary.evaluation.requirements = [requirement("accuracy", outcome, value=0.5, bound=0.5) for outcome in outcomes]
    assert [sentence for sentence in explain(summary) if " met" in sentence] == said


def test_a_refusal_begins_with_its_reasons_and_counts_what_was_met() -> None:
    summary = fill_summary(Verdict.REFUSED)
    assert summary.evaluation is not None
    summary.evaluation.requirements[1].outcome = Outcome.FAILED
    summary.evaluation.comparison = None
    summary.evaluation.warnings = ["the model does not say what it was trained on"]
    first, second, _, warning, last = explain(summary)
    assert first == summary.reasons[0] and second.startswith("2 of 3 requirements were met")
    assert warning == "Warning: the model does not say what it was trained on."
    assert last == "There is no other released model to compare with."


@pytest.mark.parametrize(
    ("unfamiliar", "said"),
    [
        (0, "0 of 60 test images are unlike the training images"),
        (1, "1 of 60 test images is unlike the training images"),
        (None, None),
    ],
)
def test_unfamiliar_test_images_are_counted_everywhere(unfamiliar: int | None, said: str | None) -> None:
    summary = fill_summary()
    assert summary.evaluation is not None
    summary.evaluation.unfamiliar = unfamiliar
    text = io.StringIO()
    print_summary(Console(file=text, width=200), summary, "summary.json")
    for place in (" ".join(explain(summary)), render_model_card(make_report(summary)), text.getvalue()):
        assert ("unlike the training images" in place) == (said is not None)
        assert said is None or said in place


def test_checks_tell_what_was_reached() -> None:
    summary = empty_summary(Verdict.DATA_REJECTED)
    summary.components = [
        ComponentTime(name="ImageExampleGen", state="cached", seconds=0),
        ComponentTime(name="DataGate", state="failed", seconds=0),
    ]
    outcomes = [check.outcome for check in describe_checks(summary)]
    assert outcomes == ["passed", "failed", "skipped", "skipped"]
    summary.conclude(Verdict.FAILED, ["DataGate: OSError: disk full"])
    check = describe_checks(summary)[1]
    assert (check.outcome, check.findings) == (CheckOutcome.ERROR, ["DataGate: OSError: disk full"])
    # Refused before the pipeline began: the files are no data set.
    refused = describe_checks(empty_summary(Verdict.DATA_REJECTED))
    assert [check.outcome for check in refused] == ["failed", "skipped", "skipped", "skipped"]


# report.json


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_json_reads_back(verdict: Verdict) -> None:
    report = make_report(fill_summary(verdict), make_notable_images(), drawn=True)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_committed_schema_is_that_of_the_report() -> None:
    current = report_schema()
    assert SCHEMA.read_text(encoding="utf-8") == current, (
        "the report has changed: run `make report-schema`, and raise Report.schema_version if a field changed its "
        "meaning or is gone"
    )


# gates.xml


def cases(xml: str, suite: str) -> dict[str, ElementTree.Element]:
    (found,) = [found for found in ElementTree.fromstring(xml) if found.get("name") == suite]
    assert found.get("tests") == str(len(found))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert found.get(attribute) == str(len(found.findall(f"testcase/{tag}")))
    return {case.get("name", ""): case for case in found}


def test_every_requirement_is_a_test_case_with_its_outcome() -> None:
    summary = fill_summary(Verdict.REFUSED)
    assert summary.evaluation is not None
    summary.evaluation.requirements[1].outcome = Outcome.FAILED
    gate = cases(render_gates(make_report(summary)), "gate")
    assert list(gate) == [
        "seen in training ≤ 0",
        "recall of Positive ≥ 0.7500",
        "change of accuracy ≥ -0.0100",
        "recall of Positive, dark ≥ 0.9700",
    ]
    passed, failed, change, warned = gate.values()
    assert len(passed) == len(change) == 0
    failure, skipped = failed.find("failure"), warned.find("skipped")
    assert failure is not None and skipped is not None
    assert failure.get("message") == (
        "recall of Positive: 0.9000 (0.8000 to 0.9600), required ≥ 0.7500 by the estimate, over 60 images"
    )
    assert (skipped.get("message") or "").startswith("too few images to decide on: recall of Positive, dark: 0.5000")


def test_every_check_of_serving_is_a_test_case_with_its_outcome() -> None:
    summary = fill_summary(Verdict.REFUSED)
    assert summary.serving is not None
    summary.serving.checks.append(ServingCheckResult(name="memory limit", outcome="failed", detail="1,812 MiB"))
    (suite,) = ElementTree.fromstring(render_gates(make_report(summary))).findall("testsuite[@name='serving']")
    cases = {case.get("name"): [(part.tag, part.get("message")) for part in case] for case in suite}
    assert cases == {
        "empty batch": [],
        "TensorFlow Serving": [("skipped", "there is none on the PATH")],
        "memory limit": [("failure", "1,812 MiB")],
    }
    page = LinedPage(render_page(make_report(summary), {}, LINKS))
    assert "memory limit\nfailed\n1,812 MiB" in page.text and "1812 MiB at most" in page.text


def test_checks_that_the_run_did_not_reach_are_skipped() -> None:
    xml = render_gates(make_report(empty_summary(Verdict.FAILED)))
    assert [case.find("skipped") is not None for case in cases(xml, "data").values()] == [True] * len(CHECKED)
    assert cases(xml, "gate")["requirements"].find("skipped") is not None
    error = cases(xml, "run")["verdict"].find("error")
    assert error is not None and error.get("message") == "interrupted during Trainer"


@settings(deadline=None)
@given(
    verdict=st.sampled_from(list(Verdict)),
    outcomes=st.lists(st.sampled_from(list(Outcome))),
    reasons=st.lists(st.text(max_size=9), max_size=2),
    state=st.sampled_from(["complete", "cached", "failed"]),
)
def test_the_xml_is_well_formed_and_red_exactly_when_the_exit_code_is(
    verdict: Verdict, outcomes: list[Outcome], reasons: list[str], state: str
) -> None:
    if not EXIT_CODES[verdict]:
        outcomes, state = [outcome for outcome in outcomes if outcome != Outcome.FAILED], "complete"
    summary = fill_summary(verdict)
    assert summary.evaluation is not None
    summary.conclude(verdict, reasons)
    summary.components[0].state = state
    summary.evaluation.requirements = [requirement(HOSTILE, outcome, value=0.5, bound=0.5) for outcome in outcomes]
    root = ElementTree.fromstring(render_gates(make_report(summary)))
    red = root.findall(".//failure") + root.findall(".//error")
    assert bool(red) == (summary.exit_code != 0)


# The model card


def test_the_model_card_says_what_it_is_for_and_what_it_is_made_of() -> None:
    card = render_model_card(make_report(fill_summary()))
    for text in (
        "# Crack classifier, version 17",
        "## Intended use",
        "| train | 30 | 30 | 60 |",
        "threshold of 0.4000",
        "### all images: 60 images\n\n| metric | value | model in production before |\n|---|---|---|\n"
        "| accuracy | 0.8625 (0.8000 to 0.9200) | 0.8500 |\n| log loss | \N{EN DASH} | \N{EN DASH} |",
        "### dark: 4 images\n\n| metric | value |\n|---|---|\n| accuracy | 0.5000 |",
        "- passed: recall of Positive: 0.9000 (0.8000 to 0.9600), required ≥ 0.7500",
        "- Too few test images to decide on: recall of Positive, dark.",
        "\n- 30 test images of class Positive cannot show errors that are much rarer than one in 30.\n",
        "- Data: as given by the user.",
        "Apache-2.0 (EfficientNet-Lite, Google)",
        "code: c0ffee",
    ):
        assert text in card, text


def test_the_model_card_says_that_a_class_has_no_test_image() -> None:
    summary = fill_summary()
    summary.images.splits["test"] = {"Negative": 30, "Positive": 0}
    card = render_model_card(make_report(summary))
    assert "\n- Errors on class Positive were not measured: it has no test image.\n" in card
    assert "one in 0" not in card


@pytest.mark.parametrize(
    ("backbone", "weights", "expected"),
    [
        ("efficientnet-lite0", "imagenet", "Apache-2.0"),
        ("efficientnet-lite0", "none", "none, they were random"),
        ("efficientnet-lite0", "/my/weights.pth", "given by the user; crackgate does not know their licence"),
        ("MobileNetV2", "imagenet", "https://keras.io/api/applications/"),
    ],
)
def test_the_card_tells_the_licence_of_the_weights(backbone: str, weights: str, expected: str) -> None:
    summary = fill_summary()
    summary.config["train"] |= {"backbone": backbone, "weights": weights}
    line = render_model_card(make_report(summary)).split("Weights that the training began with: ")[1].splitlines()[0]
    assert expected in line and ("Apache" in line) == (expected == "Apache-2.0")


def test_hostile_names_stay_text_in_the_card() -> None:
    summary = fill_summary(classes=[HOSTILE, POSITIVE])
    card = render_model_card(make_report(summary))
    assert r"\<script\>alert(1)\</script\>\|\`\*\_\#\\n\\x00\\u202e\](" in card
    assert not re.search(r"(?<!\\)<script", card) and "\x00" not in card


# Provenance


def test_the_commit_is_that_of_the_checkout_and_changes_are_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **identity}
        return subprocess.run(
            ["git", "-C", str(tmp_path), *arguments], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init")
    (tmp_path / "code.py").write_text("1")
    git("add", "code.py")
    git("commit", "--message", "first")
    commit = git("rev-parse", "HEAD")
    assert read_commit(tmp_path) == commit
    (tmp_path / "code.py").write_text("2")
    assert read_commit(tmp_path) == f"{commit} with changes"
    # A package installed somewhere below another project's checkout is not that project.
    below = tmp_path / "site-packages"
    below.mkdir()
    assert read_commit(below) == INSTALLED


# Writing


def fill_undrawn(verdict: Verdict = Verdict.RELEASED) -> Summary:
    """Without what charts are made of."""
    summary = fill_summary(verdict)
    assert summary.evaluation is not None
    summary.evaluation.curve, summary.evaluation.reliability = [], []
    return summary


def test_a_refused_run_leaves_everything_but_a_model_card(tmp_path: Path) -> None:
    summary = fill_undrawn(Verdict.REFUSED)
    before = summary.model_copy(deep=True)
    written = write_report(summary, tmp_path)
    assert summary == before
    assert {name: Path(path).name for name, path in written.items()} == {
        "report": "report.html",
        "report_json": "report.json",
        "gates": "gates.xml",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gates.xml", "report.html", "report.json"]
    report = Report.model_validate_json((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report.run.outputs == written and report.notable_images is None


def test_a_released_version_keeps_the_card_that_it_has(tmp_path: Path) -> None:
    summary = fill_undrawn()
    summary.pushed_to = str(tmp_path / "serving" / "17")
    Path(summary.pushed_to).mkdir(parents=True)
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        summary.run_id = run
        card = Path(write_report(summary, tmp_path / run)["model_card"])
        assert "in run one" in card.read_text(encoding="utf-8")
    assert card == tmp_path / "serving" / "model_cards" / "17.md"
    assert list(Path(summary.pushed_to).iterdir()) == [], "nothing is added to what was released"


def test_doubtful_labels_come_with_a_list_to_correct_and_a_warning(tmp_path: Path) -> None:
    data, folder = tmp_path / "photographs", tmp_path / "run"
    for path in ("Negative/1.jpg", "Positive/2.jpg"):
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(b"picture")
    folder.mkdir()
    summary = fill_undrawn(Verdict.REFUSED)
    summary.data = str(data)
    doubt = DoubtfulLabel(path="Positive/2.jpg", split="eval", label=POSITIVE, likely="Negative", score=0.9)
    summary.doubtful_labels = DoubtfulLabels(judged=2, found=[doubt])
    summary.outputs["doubtful_labels"] = str(tmp_path / "doubts.json")
    thumbnails = {doubt.path: to_data_uri(Image.new("RGB", (160, 90), "white"))}
    doubts = TrainingDoubts(judged=2, found=[doubt], thumbnails=thumbnails)
    (tmp_path / "doubts.json").write_text(doubts.model_dump_json())
    write_record(summary, folder)
    assert summary.outputs["label_list"] == str(folder / "labels_to_check.csv")
    assert (folder / "labels_to_check.csv").read_text().splitlines()[1:] == [
        "Positive/2.jpg,Positive,looks like Negative (score 0.90)",
        "Negative/1.jpg,Negative,",
    ]
    page = LinedPage((folder / "report.html").read_text(encoding="utf-8"))
    icon, shown = (image["src"] for image in page.of("img"))
    assert shown == thumbnails[doubt.path]
    with Image.open(io.BytesIO(base64.b64decode(icon.partition(",")[2]))) as small:
        assert small.size == (64, 36), "in the list of images"
    assert "labels_to_check.csv" in {link.get("href") for link in page.of("a")}
    text = io.StringIO()
    print_summary(Console(file=text, width=200), summary, "summary.json")
    assert "warning: 1 of 2 labels may be wrong: check these images in the report" in text.getvalue()
    assert f"labels      {folder / 'labels_to_check.csv'}" in text.getvalue()


def test_without_its_photographs_a_report_says_why_it_has_no_list(tmp_path: Path) -> None:
    summary = fill_undrawn(Verdict.REFUSED)
    doubt = DoubtfulLabel(path="Positive/2.jpg", split="eval", label=POSITIVE, likely="Negative", score=0.9)
    summary.doubtful_labels = DoubtfulLabels(judged=2, found=[doubt])
    summary.data = str(tmp_path / "gone")
    assert "label_list" not in write_report(summary, tmp_path)
    page = LinedPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "There is no list of all labels to correct" in page.text and "looks like Negative" in page.text


def test_links_stay_right_when_the_workspace_moves(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "1"
    folder.mkdir(parents=True)
    summary = fill_undrawn(Verdict.REFUSED)
    summary.log = str(tmp_path / "logs" / "1.log")
    write_report(summary, folder)
    page = LinedPage((folder / "report.html").read_text(encoding="utf-8"))
    links = {attributes["href"] for attributes in page.of("a")}
    assert {"../../logs/1.log", "report.json", "gates.xml", "summary.json"} <= links


def test_a_report_that_fails_changes_no_verdict_and_is_said(tmp_path: Path) -> None:
    summary = fill_undrawn(Verdict.REFUSED)
    (tmp_path / "report.json").mkdir()
    write_record(summary, tmp_path)
    assert (summary.verdict, summary.exit_code) == (Verdict.REFUSED, 3)
    assert summary.report_error is not None and summary.report_error.startswith("IsADirectoryError")
    assert Summary.model_validate_json((tmp_path / "summary.json").read_bytes()).report_error == summary.report_error
    assert not {"report", "report_json", "gates"} & set(summary.outputs)
    text = io.StringIO()
    print_summary(Console(file=text, width=200), summary, "summary.json")
    assert f"no report   {summary.report_error}" in text.getvalue()


def test_the_closing_words_say_where_the_report_is(tmp_path: Path) -> None:
    summary = fill_undrawn(Verdict.REFUSED)
    write_record(summary, tmp_path)
    text = io.StringIO()
    print_summary(Console(file=text, width=200), summary, "summary.json")
    assert f"report      {tmp_path / 'report.html'}" in text.getvalue() and "no report" not in text.getvalue()
