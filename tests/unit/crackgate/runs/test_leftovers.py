"""`crackgate prune` on workspaces of recorded runs, whose artifacts are there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from ml_metadata.proto.metadata_store_pb2 import Artifact, Execution
from typer.testing import CliRunner

from crackgate.contracts.verdict import Verdict
from crackgate.releases import roll_back
from crackgate.runs.history import Unconcluded, read_history
from crackgate_cli.main import app
from tests.helpers.recorded_runs import RecordedRuns

RELEASED, BETTER, REFUSED, KILLED = "20261122-160000", "20261122-160100", "20261122-160200", "20261122-160300"
BYTES = 2**20
# A program that writes to a database until its input ends; others may read meanwhile.
_WRITER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("it writes", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedRuns:
    """Two releases, of the same images; a refused model of others; a run that was killed while it trained."""
    recorded = RecordedRuns(tmp_path / "workspace", tmp_path / "workspace" / "pipeline")
    examples = {}
    for run, version in ((RELEASED, 1), (BETTER, 2), (REFUSED, 0)):
        recorded.begin(run)
        if run == BETTER:
            examples[run] = examples[RELEASED]
            recorded.record(run, "ImageExampleGen", "CACHED", outputs={"examples": examples[run]})
        else:
            examples[run] = recorded.ingest(run, fingerprint=run)
        recorded.judge(run, examples[run], recorded.train(run, examples[run]), version=version)
        recorded.summarize(run, Verdict.RELEASED if version else Verdict.REFUSED)
    recorded.begin(KILLED)
    recorded.record(KILLED, "ImageExampleGen", "CACHED", outputs={"examples": examples[RELEASED]})
    recorded.record(KILLED, "Trainer", "RUNNING", {"examples": examples[RELEASED]})
    half_made = recorded.workspace.pipeline_root / "Trainer" / "model" / "99"
    for folder in (*(Path(artifact.uri) for artifact in recorded.store.get_artifacts()), half_made):
        folder.mkdir(parents=True)
        (folder / "content").write_bytes(bytes(BYTES))
    (recorded.workspace.pipeline_root / "Trainer" / ".system" / "executor_execution").mkdir(parents=True)
    shutil.copytree(half_made, recorded.workspace.gated / "0123456789abcdef")
    return recorded


def call(recorded: RecordedRuns, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["prune", "--workspace", str(recorded.workspace.root), *arguments])
    assert result.exit_code == code, result.output
    return result


def listed(recorded: RecordedRuns, *arguments: str) -> dict[str, Any]:
    root = recorded.workspace.root
    rows = json.loads(call(recorded, "--json", *arguments).stdout)
    return {str(Path(row["path"]).relative_to(root)): row["bytes"] for row in rows}


def present(recorded: RecordedRuns) -> set[str]:
    root = recorded.workspace.root
    return {str(path.parent.relative_to(root)) for path in root.rglob("content")}


def outputs(run: str, *, ingested: bool) -> set[str]:
    made = {"Trainer/model", "Evaluator/blessing", "Evaluator/evaluation", "Pusher/pushed_model"}
    return {f"pipeline/{output}/{run}" for output in made | ({"ImageExampleGen/examples"} if ingested else set())}


REST = outputs(REFUSED, ingested=True) | {"pipeline/Trainer/model/99", "gated/0123456789abcdef"}


def test_what_no_release_traces_to_is_shown_with_its_size_and_removed(recorded: RecordedRuns) -> None:
    before = present(recorded)
    shown = listed(recorded, "--dry-run")
    assert shown == {**dict.fromkeys(REST, BYTES), "pipeline/Trainer/.system": 0} and present(recorded) == before
    assert "7.0 MiB in 8 folders would be removed: run without --dry-run" in call(recorded, "--dry-run").stdout
    assert "7.0 MiB in 8 folders removed" in call(recorded).stdout
    assert present(recorded) == before - REST
    assert present(recorded) == outputs(RELEASED, ingested=True) | outputs(BETTER, ingested=False)
    assert (recorded.workspace.serving / "1" / "manifest.json").exists()
    assert (recorded.workspace.runs / REFUSED / "summary.json").exists()
    assert "0.0 MiB in 0 folders removed" in call(recorded).stdout


def test_what_is_stale_is_marked(recorded: RecordedRuns) -> None:
    call(recorded, "--dry-run")
    assert {artifact.state for artifact in recorded.store.get_artifacts()} == {Artifact.LIVE}
    call(recorded)
    gone = {artifact.uri for artifact in recorded.store.get_artifacts() if artifact.state == Artifact.DELETED}
    assert {str(Path(uri).relative_to(recorded.workspace.root)) for uri in gone} == outputs(REFUSED, ingested=True)
    states = {execution.last_known_state for execution in recorded.store.get_executions()}
    assert states == {Execution.COMPLETE, Execution.CACHED, Execution.CANCELED}
    history = read_history(recorded.workspace)
    entries = {run.run_id: history.describe(run) for run in history.runs}
    assert entries[KILLED].verdict == Unconcluded.CUT_OFF and "ended at Trainer" in entries[KILLED].reasons[0]
    assert entries[REFUSED].verdict == Verdict.REFUSED


@pytest.mark.parametrize("state", ["withdrawn", "staged"])
def test_withdrawn_and_staged_versions_count_as_long_as_they_are_there(state: str, recorded: RecordedRuns) -> None:
    serving = recorded.workspace.serving
    if state == "withdrawn":
        roll_back(serving, 1, "me", "bad")
    else:
        (serving / "staged").mkdir()
        (serving / "2").rename(serving / "staged" / "2")
    assert set(listed(recorded, "--dry-run")) - {"pipeline/Trainer/.system"} == REST
    shutil.rmtree(serving / state / "2")
    rest = set(listed(recorded)) - {"pipeline/Trainer/.system"}
    assert rest == REST | outputs(BETTER, ingested=False)


def test_links_are_removed_and_not_followed(recorded: RecordedRuns, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    model = recorded.workspace.pipeline_root / "Trainer" / "model"
    (model / "link").symlink_to(precious)
    (recorded.workspace.pipeline_root / "Linked").symlink_to(tmp_path)
    assert "pipeline/Trainer/model/link" in listed(recorded)
    assert (precious / "file").exists() and not (model / "link").is_symlink()


def test_what_cannot_be_noted_is_said(recorded: RecordedRuns) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, recorded.workspace.metadata_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"it writes\n"
        said = call(recorded, code=1).stderr
        writer.communicate()
    assert "cannot note in" in said and "which artifacts are gone: Concurrent writes aborted" in said
    assert "0 folders removed" in call(recorded).stdout
    assert Artifact.DELETED in {artifact.state for artifact in recorded.store.get_artifacts()}


def test_nothing_is_removed_during_a_run_or_without_a_readable_record(recorded: RecordedRuns, tmp_path: Path) -> None:
    before = present(recorded)
    with recorded.workspace.locked():
        assert "another run is using" in call(recorded, code=2).stderr
    record = recorded.workspace.serving / "withdrawn" / "2.json"
    record.parent.mkdir()
    record.write_text("{")
    assert "nothing was removed: cannot read" in call(recorded, code=1).stderr
    record.unlink()
    recorded.workspace.metadata_file.write_bytes(b"no database, although it is long enough for one" * 100)
    assert "nothing was removed: cannot read ML Metadata" in call(recorded, code=1).stderr
    assert present(recorded) == before
    result = CliRunner().invoke(app, ["prune", "--workspace", str(tmp_path / "absent")])
    assert result.exit_code == 2 and "where no run has been" in result.stderr and not (tmp_path / "absent").exists()
    shutil.copytree(recorded.workspace.root, tmp_path / "spans [2026]")
    result = CliRunner().invoke(app, ["prune", "--workspace", str(tmp_path / "spans [2026]")])
    assert result.exit_code == 2 and "TFX needs a path without" in result.stderr
