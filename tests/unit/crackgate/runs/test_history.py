import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from crackgate.contracts.evaluation import MetricValue
from crackgate.contracts.verdict import Verdict
from crackgate.gate.wording import say_metric
from crackgate.releases import Lineage, Release, approve, publish
from crackgate.runs.details import RunDetails, describe_details
from crackgate.runs.history import History, HistoryError, Run, RunEntry, read_history
from crackgate.runs.lineage import Record
from crackgate.runs.summary import SUMMARY_FILE
from crackgate.runs.workspace import Workspace
from crackgate_cli.main import app
from crackgate_cli.tables.history import print_runs
from tests.helpers.recorded_runs import RecordedRuns

FIRST, AGAIN, REFUSED, REJECTED = "20261122-160000", "20261122-160100", "20261122-160200", "20261122-160300"
VERSION = 1795364374
METRICS = [
    MetricValue(metric="accuracy", value=0.9),
    MetricValue(metric="recall", label="Positive", value=0.8),
    MetricValue(metric="recall", label="Negative", value=0.7),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RecordedRuns:
    """A release; a run of the same that took everything over; another model, refused; a folder with one class."""
    recorded = RecordedRuns(tmp_path_factory.mktemp("recorded"))
    recorded.begin(FIRST)
    examples = recorded.ingest(FIRST, fingerprint="f1")
    model = recorded.train(FIRST, examples)
    pushed = recorded.judge(FIRST, examples, model, version=VERSION)
    recorded.summarize(FIRST, Verdict.RELEASED, metrics=METRICS, minute=0)

    recorded.begin(AGAIN)
    # TFX does not tell the fingerprint to an execution that it takes from the cache.
    recorded.record(AGAIN, "ImageExampleGen", "CACHED", outputs={"examples": examples})
    recorded.record(AGAIN, "Trainer", "CACHED", {"examples": examples}, {"model": model})
    recorded.record(AGAIN, "Pusher", "CACHED", {"model": model}, {"pushed_model": pushed})
    recorded.summarize(AGAIN, Verdict.UNCHANGED, metrics=METRICS, minute=1)

    recorded.begin(REFUSED)
    recorded.record(REFUSED, "ImageExampleGen", "CACHED", outputs={"examples": examples})
    worse = recorded.train(REFUSED, examples)
    recorded.judge(REFUSED, examples, worse, baseline=model)
    recorded.summarize(REFUSED, Verdict.REFUSED, metrics=METRICS, minute=2)

    recorded.summarize(REJECTED, Verdict.DATA_REJECTED, minute=3)
    return recorded


@pytest.fixture
def recorded(template: RecordedRuns, tmp_path: Path) -> RecordedRuns:
    """A copy of the template, for one test."""
    return template.copied_to(tmp_path / "workspace")


def entries(recorded: RecordedRuns) -> dict[str, RunEntry]:
    history = read_history(recorded.workspace)
    return {run.run_id: history.describe(run) for run in history.runs}


def details(recorded: RecordedRuns, run: str) -> RunDetails:
    history = read_history(recorded.workspace)
    return describe_details(history, history.find(run))


def test_every_run_is_listed_the_newest_first_with_what_it_came_to(recorded: RecordedRuns) -> None:
    listed = entries(recorded)
    assert {run_id: (entry.verdict, entry.version) for run_id, entry in listed.items()} == {
        REJECTED: ("data rejected", None),
        REFUSED: ("refused", None),
        AGAIN: ("unchanged", VERSION),
        FIRST: ("released", VERSION),
    }
    assert list(listed) == [REJECTED, REFUSED, AGAIN, FIRST]
    assert listed[AGAIN].released_by == listed[FIRST].released_by == FIRST
    assert listed[REJECTED].reasons == ["it is data rejected"] and listed[REJECTED].verdict_from == "summary.json"
    assert listed[FIRST].verdict_from == "ML Metadata" and listed[FIRST].seconds == 75.4


def test_the_main_metrics_are_those_of_all_test_images(recorded: RecordedRuns) -> None:
    listed = entries(recorded)
    metrics = {say_metric(*value.key): value.value for value in listed[FIRST].metrics}
    assert metrics == {"accuracy": 0.9, "recall of Positive": 0.8} and listed[FIRST].test_images == 10
    assert listed[REJECTED].metrics == [] and listed[REJECTED].test_images is None


def test_without_a_positive_class_the_balanced_accuracy_is_shown(recorded: RecordedRuns) -> None:
    summary = recorded.summarize(
        "no positive",
        Verdict.REFUSED,
        metrics=[MetricValue(metric="accuracy", value=0.9), MetricValue(metric="balanced_accuracy", value=0.6)],
    )
    assert summary.evaluation is not None
    summary.evaluation.positive_classes = ()
    summary.write(recorded.workspace.runs / "no positive")
    assert [value.metric for value in entries(recorded)["no positive"].metrics] == ["accuracy", "balanced_accuracy"]


def test_a_staged_version_is_said_to_wait_until_it_is_approved(template: RecordedRuns, tmp_path: Path) -> None:
    recorded = template.copied_to(tmp_path / "workspace")
    run_id, serving = "20261122-170000", recorded.workspace.serving
    recorded.begin(run_id)
    release = Release(lineage=Lineage(pipeline="", run_id=run_id))
    folder = publish(serving / str(VERSION), serving, release, staged_against=VERSION)
    destination = str(serving / folder.name)
    note = {"pushed": 1, "pushed_staged": 1, "pushed_version": folder.name, "pushed_destination": destination}
    recorded.execute(run_id, "Pusher", outputs={"pushed_model": note})
    (staged,) = (entry for name, entry in entries(recorded).items() if name == run_id)
    assert (staged.verdict, staged.version, staged.staged) == ("staged", int(folder.name), True), "without a summary"
    (made,) = details(recorded, run_id).links[0].made
    assert (made.uri, made.gone) == (str(folder), False), "where it waits"
    recorded.summarize(run_id, Verdict.STAGED, minute=9)
    text = io.StringIO()
    print_runs(Console(file=text, width=200), [entries(recorded)[run_id]])
    assert f"{folder.name} (staged)" in text.getvalue()
    approve(serving, int(folder.name), "me", "good")
    entry = entries(recorded)[run_id]
    assert (entry.verdict, entry.staged, entry.removed) == ("staged", False, False), "as the run ended"
    recorded.summarize(run_id, Verdict.RELEASED, minute=9)
    assert entries(recorded)[run_id].verdict == "released", "a run that took everything over"


def test_a_version_that_was_rolled_back_is_said_to_be_withdrawn(recorded: RecordedRuns) -> None:
    folder = recorded.workspace.serving / str(VERSION)
    publish(folder, recorded.workspace.serving, Release(lineage=Lineage(pipeline="", run_id="")))
    (recorded.workspace.serving / "withdrawn").mkdir()
    folder.rename(recorded.workspace.serving / "withdrawn" / str(VERSION))
    recorded.summarize(AGAIN, Verdict.WITHDRAWN, metrics=METRICS, minute=1)
    listed = entries(recorded)
    assert listed[FIRST].withdrawn and not listed[FIRST].removed and listed[FIRST].verdict == "released"
    assert (listed[AGAIN].verdict, listed[AGAIN].verdict_from) == ("withdrawn", "summary.json")
    text = io.StringIO()
    print_runs(Console(file=text, width=200), list(listed.values()))
    assert text.getvalue().count(f"{VERSION} (withdrawn)") == 1
    assert f"{VERSION} again (withdrawn)" in text.getvalue()


def test_a_version_that_left_the_serving_folder_is_said_to_be_removed(recorded: RecordedRuns) -> None:
    assert not entries(recorded)[FIRST].removed
    (recorded.workspace.serving / str(VERSION) / "saved_model.pb").unlink()
    assert entries(recorded)[FIRST].removed


def test_a_run_that_failed_after_its_pusher_has_failed(recorded: RecordedRuns) -> None:
    recorded.summarize(AGAIN, Verdict.FAILED, minute=1)
    entry = entries(recorded)[AGAIN]
    assert (entry.verdict, entry.verdict_from, entry.reasons) == ("failed", "summary.json", ["it is failed"])


def test_what_has_no_summary_is_told_from_ml_metadata(recorded: RecordedRuns) -> None:
    (recorded.workspace.runs / FIRST / SUMMARY_FILE).unlink()
    recorded.begin("failing")
    recorded.record("failing", "DataGate", "FAILED")
    listed = entries(recorded)
    assert (listed[FIRST].verdict, listed[FIRST].version, listed[FIRST].seconds) == ("released", VERSION, None)
    assert listed["failing"].verdict == "failed" and "DataGate failed" in listed["failing"].reasons[0]


def test_a_broken_summary_is_named_and_the_rest_is_still_told(recorded: RecordedRuns) -> None:
    file = recorded.workspace.runs / FIRST / SUMMARY_FILE
    whole = json.loads(file.read_text())

    def break_by_a_fifo() -> None:
        file.unlink()
        os.mkfifo(file)

    for damage in (
        lambda: file.write_text('{"run_id": '),
        lambda: file.write_text(json.dumps(whole | {"started": "yesterday"})),
        break_by_a_fifo,
    ):
        damage()
        entry = entries(recorded)[FIRST]
        assert entry.verdict == "released" and entry.version == VERSION
        assert len(entry.problems) == 1 and str(file) in entry.problems[0]


@pytest.mark.parametrize("name", ["serving", "serving/withdrawn"])
def test_a_file_in_place_of_a_folder_of_releases_holds_none(name: str, recorded: RecordedRuns) -> None:
    place = recorded.workspace.root / name
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    place.write_text("no folder")
    told = CliRunner().invoke(app, ["runs", "--workspace", str(recorded.workspace.root), "show", FIRST])
    assert told.exit_code == 0, told.output


def test_a_run_without_an_end_is_running_while_the_workspace_is_held_and_cut_off_afterwards(
    recorded: RecordedRuns,
) -> None:
    recorded.begin("unfinished")
    recorded.record("unfinished", "Trainer", "RUNNING")
    with recorded.workspace.locked():
        running = entries(recorded)["unfinished"]
        assert (running.verdict, running.reasons) == ("running", ["now at Trainer"])
        assert entries(recorded)[FIRST].verdict == "released"
    cut_off = entries(recorded)["unfinished"]
    assert cut_off.verdict == "cut off" and "at Trainer" in cut_off.reasons[0]


def test_a_damaged_record_of_a_withdrawal_is_said_in_one_line(recorded: RecordedRuns) -> None:
    records = recorded.workspace.serving / "withdrawn"
    records.mkdir(parents=True)
    (records / "7.json").write_text("{")
    told = CliRunner().invoke(app, ["runs", "--workspace", str(recorded.workspace.root)])
    assert (
        told.exit_code == 2 and "why version 7 was withdrawn" in told.output and "put a good copy back" in told.output
    )


def test_asking_for_the_lock_does_not_keep_it(recorded: RecordedRuns) -> None:
    assert not recorded.workspace.is_locked(), "no run has made the lock file yet"
    with recorded.workspace.locked():
        assert recorded.workspace.is_locked()
    assert not recorded.workspace.is_locked()
    with recorded.workspace.lock_file.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("text", "run_id"),
    [
        ("latest", REJECTED),
        (AGAIN, AGAIN),
        ("20261122-1602", REFUSED),
        (str(VERSION), FIRST),
        (f"version {VERSION}", FIRST),
    ],
)
def test_runs_are_found_by_id_beginning_and_version(recorded: RecordedRuns, text: str, run_id: str) -> None:
    assert read_history(recorded.workspace).find(text).run_id == run_id


@pytest.mark.parametrize("text", ["20261122-16", "nonsense", "", "version", "version 7", "17953643", "Latest"])
def test_what_is_no_one_run_is_refused_with_what_there_is(recorded: RecordedRuns, text: str) -> None:
    with pytest.raises(HistoryError) as refused:
        read_history(recorded.workspace).find(text)
    assert repr(text) in str(refused.value) and FIRST in str(refused.value)
    assert "4 runs" in str(refused.value) if text == "20261122-16" else str(VERSION) in str(refused.value)


@given(st.sets(st.from_regex(r"[0-9]{8}-[0-9]{6}(-[2-9])?", fullmatch=True), min_size=1, max_size=15), st.data())
def test_a_beginning_finds_the_only_run_that_it_fits_or_none(ids: set[str], data: st.DataObject) -> None:
    began = datetime(2026, 11, 22, tzinfo=UTC)
    history = History(Workspace(Path("/nowhere")), Record(), [Run(run_id, began) for run_id in sorted(ids)])
    chosen = data.draw(st.sampled_from(sorted(ids)))
    text = chosen[: data.draw(st.integers(1, len(chosen)))]
    fitting = {text} & ids or {run_id for run_id in ids if run_id.startswith(text)}
    if len(fitting) == 1:
        assert history.find(text).run_id in fitting
    else:
        with pytest.raises(HistoryError, match=f"{len(fitting)} runs"):
            history.find(text)


def test_the_lineage_of_a_release_goes_back_to_the_data(recorded: RecordedRuns) -> None:
    shown = details(recorded, FIRST)
    assert [link.component for link in shown.links] == ["Pusher", "Evaluator", "Trainer", "ImageExampleGen"]
    # Every link is made of what the links below it made.
    for number, link in enumerate(shown.links):
        below = {made.id for lower in shown.links[number + 1 :] for made in lower.made}
        assert {used for ids in link.used.values() for used in ids} <= below
    pusher, evaluator, *_ = shown.links
    (pushed,) = pusher.made
    assert (pushed.name, pushed.note, pushed.gone) == ("pushed_model", f"version {VERSION}", False)
    assert pushed.uri.endswith(f"/serving/{VERSION}")
    assert {made.name: made.note for made in evaluator.made} == {"blessing": "blessed", "evaluation": ""}
    assert all(made.gone for made in evaluator.made), "nothing was really written there"
    assert shown.data is not None and shown.data.model_dump() == {"folder": "/photographs", "fingerprint": "f1"}
    assert shown.baseline is None


def test_a_run_that_took_everything_over_has_the_lineage_of_the_run_that_made_it(recorded: RecordedRuns) -> None:
    taken_over = details(recorded, AGAIN)
    assert taken_over.links == details(recorded, FIRST).links
    assert {link.run_id for link in taken_over.links} == {FIRST}
    assert taken_over.data is not None and taken_over.data.fingerprint == "f1"


def test_the_lineage_of_a_refused_model_names_the_model_in_service(recorded: RecordedRuns) -> None:
    shown = details(recorded, REFUSED)
    assert [(link.component, link.run_id) for link in shown.links] == [
        ("Pusher", REFUSED),
        ("Evaluator", REFUSED),
        ("Trainer", REFUSED),
        ("ImageExampleGen", FIRST),
    ], "the baseline's own Trainer is not part of it"
    assert shown.links[0].made[0].note == "nothing was pushed" and shown.links[1].made[0].note == "not blessed"
    assert shown.baseline is not None
    assert (shown.baseline.version, shown.baseline.run_id) == (VERSION, FIRST)


def test_a_baseline_from_the_serving_directory_names_its_version_and_run(recorded: RecordedRuns) -> None:
    run = "20261122-160400"
    recorded.begin(run)
    examples = recorded.ingest(run, fingerprint="f2")
    properties = {"pushed_version": str(VERSION), "pushed_destination": f"/serving/{VERSION}"}
    released = recorded.execute(run, "BaselineResolver", outputs={"model": properties})["model"]
    recorded.judge(run, examples, recorded.train(run, examples), baseline=released)
    baseline = details(recorded, run).baseline
    assert baseline is not None
    assert (baseline.version, baseline.run_id, baseline.model.uri) == (VERSION, FIRST, f"/serving/{VERSION}")


def test_the_lineage_of_a_stopped_run_begins_where_it_got_to(recorded: RecordedRuns) -> None:
    recorded.begin("stopped")
    recorded.ingest("stopped", fingerprint="f2")
    recorded.record("stopped", "LeakCheck", "FAILED")
    shown = details(recorded, "stopped")
    assert [link.component for link in shown.links] == ["ImageExampleGen"]
    assert shown.data is not None and shown.data.fingerprint == "f2"
    assert details(recorded, REJECTED).links == [], "it never reached ML Metadata"


def test_no_workspace_no_runs_and_no_store_are_said(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"'.*absent', which is no folder"):
        read_history(Workspace(tmp_path / "absent"))
    with pytest.raises(HistoryError, match="no runs in"):
        read_history(Workspace(tmp_path))
    Workspace(tmp_path).metadata_file.write_text("not a database " * 100)
    with pytest.raises(HistoryError, match=r"cannot read ML Metadata in .*metadata.sqlite.*not a database"):
        read_history(Workspace(tmp_path))


def test_summaries_are_told_of_without_ml_metadata(recorded: RecordedRuns) -> None:
    recorded.workspace.metadata_file.unlink()
    entry = entries(recorded)[FIRST]
    assert (entry.verdict, entry.verdict_from) == ("released", "summary.json") and entry.seconds == 75.4


# Another process, as SQLite locks between processes; it ends without tidying up.
WRITE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = {cache_pages}")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE Artifact SET uri = hex(randomblob(3000))")
{then}
"""


def test_a_run_that_is_writing_does_not_keep_from_reading(recorded: RecordedRuns) -> None:
    code = WRITE.format(cache_pages=1000, then="print('written', flush=True); sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(recorded.workspace.metadata_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None and writer.stdin is not None
        assert writer.stdout.readline() == "written\n"
        assert entries(recorded)[FIRST].version == VERSION
        writer.stdin.close()


def test_what_a_killed_run_left_half_written_is_undone(recorded: RecordedRuns) -> None:
    metadata_file = recorded.workspace.metadata_file
    # So small a cache that it writes before it commits.
    code = WRITE.format(cache_pages=1, then="os._exit(0)")
    subprocess.run([sys.executable, "-c", code, str(metadata_file)], check=True)
    assert Path(f"{metadata_file}-journal").stat().st_size > 0, "otherwise there is nothing to undo"
    assert entries(recorded)[FIRST].version == VERSION
    assert details(recorded, FIRST).links[-1].made[0].uri == f"/artifacts/ImageExampleGen/examples/{FIRST}"
