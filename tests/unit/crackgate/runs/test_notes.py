"""Names, tags and notes of runs, as people give them on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from crackgate.contracts.verdict import Verdict
from crackgate.runs.history import HistoryError, read_history
from crackgate.runs.notes import NOTES_FILE, RunNotes, add_notes, read_notes
from crackgate_cli.main import app
from tests.helpers.pushing import finish, start
from tests.helpers.recorded_runs import RecordedRuns

RUNS = ("20261122-160000", "20261122-170000")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    recorded = RecordedRuns(tmp_path / "workspace")
    for minute, run_id in enumerate(RUNS):
        recorded.summarize(run_id, Verdict.REFUSED, minute=minute)
    return recorded.workspace.root


def call(workspace: Path, *arguments: str, code: int = 0) -> Result:
    command = ["runs", "--workspace", str(workspace), *arguments]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result


def listed(workspace: Path, *wanted: str) -> list[str]:
    return [run["run_id"] for run in json.loads(call(workspace, *wanted, "--json").stdout)]


def test_a_run_is_named_tagged_and_noted_and_found_by_it(workspace: Path) -> None:
    first, second = RUNS
    said = call(workspace, "note", first, "the lens was dirty", "--name", "rain [A]", "--tag", "Night", "--tag", "wet")
    assert said.stdout == f"{first}: name 'rain [A]', tags: Night, wet; notes: 1\n"
    call(workspace, "note", "rain [A]", "cleaned", "--tag", "wet", "--untag", "Night")
    table = call(workspace).stdout
    assert "rain [A] [wet]" in table and table.count(" - ") >= 1
    shown = call(workspace, "show", "rain [A]").stdout
    assert "name             rain [A]" in shown and "tags             wet" in shown
    assert "the lens was dirty" in shown and "cleaned" in shown and "@" in shown
    assert listed(workspace, "--filter", "LENS wet") == listed(workspace, "--filter", "rain") == [first]
    assert listed(workspace, "--filter", "refused") == [second, first]
    assert listed(workspace, "--filter", "refused", "--filter", "16:00") == []
    assert read_notes(workspace / "runs" / second) == RunNotes()


def test_json_is_json_in_every_encoding(workspace: Path) -> None:
    name = "caf\u00e9 \U0001f327"
    call(workspace, "note", RUNS[0], "--name", name)
    shown = call(workspace, "show", RUNS[0], "--json").stdout
    compared = CliRunner().invoke(app, ["compare", *RUNS, "--workspace", str(workspace), "--json"]).stdout
    assert name in str(json.loads(shown)) and name in str(json.loads(compared))
    assert shown.isascii() and compared.isascii()


def test_control_characters_are_written_out(workspace: Path) -> None:
    call(workspace, "note", RUNS[0], "\x1b[31mred\nline", "--name", "na\x1b]0;me", "--tag", "t\x9bag")
    notes = read_notes(workspace / "runs" / RUNS[0])
    assert (notes.name, notes.tags, notes.notes[0].text) == (r"na\x1b]0;me", [r"t\x9bag"], r"\x1b[31mred\nline")
    # A file that somebody wrote by hand.
    (workspace / "runs" / RUNS[1] / NOTES_FILE).write_text(json.dumps({"name": "\x1b[2J", "tags": ["\x07"]}))
    for output in (call(workspace).stdout, call(workspace, "show", RUNS[1]).stdout):
        assert "\x1b" not in output and "\x07" not in output and r"\x1b[2J" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "received nothing to note"),
        (("",), "the note: received 0 characters; 1 to 10,000"),
        (("--name", " "), "--name: received 0 characters; 1 to 100"),
        (("--tag", "x" * 101), "--tag: received 101 characters"),
        (("--untag", "wet"), "--untag: received 'wet'; the run has the tags: none"),
    ],
    ids=["nothing", "empty", "blank", "long", "unknown"],
)
def test_what_cannot_be_noted_is_said(arguments: tuple[str, ...], said: str, workspace: Path) -> None:
    assert said in " ".join(call(workspace, "note", RUNS[0], *arguments, code=2).stderr.split())
    assert not (workspace / "runs" / RUNS[0] / NOTES_FILE).exists()


def test_unreadable_notes_are_named_and_not_written_over(workspace: Path) -> None:
    (workspace / "runs" / RUNS[0] / NOTES_FILE).write_text("{")
    assert "cannot read" in call(workspace).stdout and listed(workspace) == [RUNS[1], RUNS[0]]
    assert "put a good copy back" in " ".join(call(workspace, "note", RUNS[0], "more", code=2).stderr.split())
    assert (workspace / "runs" / RUNS[0] / NOTES_FILE).read_text() == "{"


def note_often(folder: Path, who: str) -> None:
    for number in range(20):
        add_notes(folder, who, None, [f"{who}{number}"], [], f"note {number}")


def test_no_note_is_lost_when_two_people_write_at_once(workspace: Path) -> None:
    folder = workspace / "runs" / RUNS[0]
    finish(*(start(note_often, folder, who) for who in ("ann", "bob")))
    notes = read_notes(folder)
    assert len(notes.notes) == len(notes.tags) == 40


def test_a_name_that_two_runs_have_finds_neither(workspace: Path) -> None:
    for run_id in RUNS:
        call(workspace, "note", run_id, "--name", "twin")
    history = read_history(RecordedRuns(workspace).workspace)
    with pytest.raises(HistoryError, match="'twin' is the beginning or the name of 2 runs"):
        history.find("twin")
