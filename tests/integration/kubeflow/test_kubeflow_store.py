"""Tasks on a real MariaDB: many at once on an empty database, killed tasks, a server that goes away."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import mariadb, slow_schema
from tests.helpers.compiled_node import CLASSES, make_options

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.skipif(not mariadb.is_installed(), reason="needs MariaDB: apt-get install mariadb-server"),
]

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[mariadb.MariaDB]:
    # Not pytest's own folder: the name of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="crackgate-") as folder:
        started = mariadb.MariaDB(Path(folder))
        started.install()
        yield started
        started.kill()


def environment_of(server: mariadb.MariaDB, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2", **server.environment(), **more}


def states(server: mariadb.MariaDB) -> list[str]:
    """Of all executions, by number: 2 is RUNNING, 3 COMPLETE, 4 FAILED, 5 CACHED."""
    return [row[0] for row in server.query(f"SELECT last_known_state FROM {mariadb.DATABASE}.Execution ORDER BY id")]


def test_eight_runs_that_begin_at_once_on_an_empty_database_all_come_through(
    server: mariadb.MariaDB, tmp_path: Path
) -> None:
    options = make_options(tmp_path)
    (tmp_path / "options.json").write_text(json.dumps(options))
    runs = [f"run-{number}" for number in range(8)]
    finished = subprocess.run(
        [sys.executable, PROJECT / "tests/helpers/parallel_nodes.py", tmp_path / "options.json", *runs],
        env=environment_of(server),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = finished.stdout + finished.stderr
    assert finished.returncode == 0, said
    assert len(states(server)) == 8 and set(states(server)) <= {"3", "5"}
    contexts = server.query(
        "SELECT Context.name, COUNT(*) FROM mlmd.Context JOIN mlmd.Association ON Context.id = Association.context_id "
        "JOIN mlmd.Type ON Type.id = Context.type_id WHERE Type.name = 'pipeline_run' GROUP BY Context.name"
    )
    assert sorted(contexts) == [[run, "1"] for run in runs]
    records = [json.loads(file.read_text()) for file in tmp_path.glob("workspace/runs/*/nodes/*.json")]
    assert len(records) == 8 and {record["state"] for record in records} <= {"complete", "cached"}
    # Names outside of Latin-1 come back from a database with utf8mb4.
    classes = server.query(
        "SELECT string_value FROM mlmd.ExecutionProperty WHERE name = 'classes' ORDER BY execution_id LIMIT 1"
    )
    assert json.loads(classes[0][0].replace("\\\\", "\\")) == CLASSES

    password_free = [said, server.dump().replace("IDENTIFIED", "")]
    password_free += [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert len(password_free) > 16 and not any(mariadb.PASSWORD in text for text in password_free)


def test_a_killed_task_and_a_server_that_went_away_cost_attempts_but_not_the_run(
    server: mariadb.MariaDB, tmp_path: Path
) -> None:
    options = make_options(tmp_path, slow=True)
    gate = tmp_path / "gate"

    def attempt() -> subprocess.Popen[str]:
        shutil.rmtree(gate, ignore_errors=True)
        gate.mkdir()
        arguments = {**options, "run-id": "the-run"}
        started = subprocess.Popen(
            [sys.executable, "-m", "kubeflow.task.node", *(x for k, v in arguments.items() for x in (f"--{k}", v))],
            env=environment_of(server, **{slow_schema.GATE: str(gate)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(gate / "started", started)
        return started

    # The pod is killed, for its memory or with its node, and leaves half an output.
    killed = attempt()
    killed.kill()
    killed.communicate()
    assert states(server) == ["2"]
    (half,) = (tmp_path / "workspace/pipeline").rglob(slow_schema.HALF)

    # The next one finds its place swept, but the server is gone when it has something to say.
    unheard = attempt()
    server.kill()
    (gate / "go").touch()
    said, _ = unheard.communicate(timeout=120)
    assert unheard.returncode != 0, said
    server.start()
    assert states(server) == ["2"]

    last = attempt()
    (gate / "go").touch()
    said, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and "CuratedSchema: complete" in said, said
    assert states(server) == ["3"], "all attempts are one execution"
    assert sorted(file.name for file in half.parent.iterdir()) == ["schema.pbtxt"]
    record: dict[str, Any] = json.loads((tmp_path / "workspace/runs/the-run/nodes/CuratedSchema.json").read_text())
    assert (record["attempt"], record["state"]) == (3, "complete")


def wait_for(file: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 180
    while not file.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
