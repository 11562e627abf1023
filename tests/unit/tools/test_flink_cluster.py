"""What the Flink cluster says when it cannot be had, and whom it ends."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tools.flink_cluster import software
from tools.flink_cluster.__main__ import main
from tools.flink_cluster.cluster import FlinkCluster, Process
from tools.flink_cluster.software import MissingSoftwareError, Software, fetch_software


@pytest.fixture
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH, and an empty cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(software, "CACHE", tmp_path / "cache")
    return tmp_path


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_java_it_says_what_to_install(empty_path: Path) -> None:
    with pytest.raises(MissingSoftwareError, match=r"java is not there: install a JDK .*openjdk-17"):
        fetch_software()
    _program(empty_path, "java", "echo 'openjdk version \"8.0_1\"' >&2")
    with pytest.raises(MissingSoftwareError, match=r"8.0_1.*install a JDK"):
        fetch_software()


def test_without_maven_nothing_is_downloaded(empty_path: Path) -> None:
    _program(empty_path, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    with pytest.raises(MissingSoftwareError, match="mvn is not on the PATH: install Maven"):
        fetch_software()
    assert not (empty_path / "cache").exists()


def test_what_a_registry_answers_is_shown_and_nothing_half_is_kept(empty_path: Path) -> None:
    _program(empty_path, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    _program(empty_path, "mvn", "echo 'Could not find artifact x'; exit 1")
    (empty_path / "cache" / f"flink-{software.FLINK_VERSION}").mkdir(parents=True)
    with pytest.raises(MissingSoftwareError, match=r"could not fetch Beam's Flink job server(.|\n)*find artifact x"):
        fetch_software()
    assert not any(path.name.startswith("job-server") and path.suffix == "" for path in empty_path.glob("cache/*"))


def test_it_ends_its_own_processes_and_no_other_one_of_the_same_number() -> None:
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    ours = Process(started.pid, psutil.Process(started.pid).create_time())
    another = Process(started.pid, ours.started - 1)
    assert ours.is_alive() and not another.is_alive()
    another.signal(9)
    assert started.poll() is None
    ours.signal(9)
    assert started.wait() == -9 and not ours.is_alive()


def test_where_no_cluster_was_started_there_is_none(tmp_path: Path) -> None:
    assert FlinkCluster.load(tmp_path, Software("java", tmp_path, tmp_path)) is None


def test_anything_but_up_and_down_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["left"]) == 2
    assert "up|down" in capsys.readouterr().err
