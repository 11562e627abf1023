"""Pushes into the serving directory: a version is there as a whole or not at all, whoever dies or writes meanwhile."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crackgate.contracts.model_files import MODEL_VERSION_FILE
from crackgate.releases import (
    ServingDirectoryError,
    State,
    change,
    list_versions,
    production_version,
    publish,
    read_manifest,
    remove_old_versions,
    roll_back,
    verify,
)
from crackgate.releases.manifest import list_files, measure_model
from tests.helpers.pushing import (
    RELEASE,
    assert_all_intact,
    finish,
    push,
    push_as_somebody,
    push_for_ever,
    push_some,
    push_with_small_files,
    start,
    states,
    write_model,
)

PROJECT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def large_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("large"), size=1_500_000)


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system, from which no folder can be renamed to here."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm, on a file system of its own")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)


def forbid_folder_renames(serving: Path, elsewhere: Path) -> None:
    """Lets what is moved come from another file system, so that the kernel refuses every rename of a folder."""
    serving.mkdir()
    for name in (".unfinished", "staged", "withdrawn"):
        (elsewhere / name).mkdir()
        (serving / name).symlink_to(elsewhere / name)


# Publishing


def test_a_release_is_the_judged_model_but_for_its_number(model: Path, serving: Path) -> None:
    before = measure_model(model)
    folder = publish(model, serving, RELEASE)
    number = int(folder.name)
    assert abs(number - time.time()) < 60 and folder.parent == serving == production_version(serving).parent
    assert (folder / MODEL_VERSION_FILE).read_text().split() == [folder.name]
    assert (folder / "assets" / "empty").is_dir()
    differing = [name for name in list_files(model) if (model / name).read_bytes() != (folder / name).read_bytes()]
    manifest = read_manifest(folder)
    assert differing == [str(MODEL_VERSION_FILE)] == manifest.differs_from_judged
    assert manifest.model_digest == measure_model(model) == measure_model(folder) == before
    assert set(manifest.files) == set(list_files(model)) and manifest.version == number
    assert (manifest.lineage, manifest.metrics, manifest.config_digest) == (
        RELEASE.lineage,
        RELEASE.metrics,
        RELEASE.config_digest,
    )
    finding = verify(folder)
    assert finding.intact and finding.signature == "not signed"
    assert list((serving / ".unfinished").iterdir()) == []


def test_a_model_that_cannot_say_its_version_is_released_all_the_same(
    model: Path, serving: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(model, plain)
    (plain / MODEL_VERSION_FILE).unlink()
    folder = publish(plain, serving, RELEASE)
    assert verify(folder).intact and read_manifest(folder).differs_from_judged == []
    assert not (folder / MODEL_VERSION_FILE).exists()


def test_a_release_can_be_released_again(model: Path, serving: Path) -> None:
    first = publish(model, serving, RELEASE)
    second = publish(first, serving, RELEASE)
    assert verify(second).intact and read_manifest(second).model_digest == read_manifest(first).model_digest


def test_what_is_no_model_is_not_released(tmp_path: Path, serving: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(ServingDirectoryError, match=r"it has no saved_model\.pb; nothing was released"):
            publish(folder, serving, RELEASE)
    assert not serving.exists()


def test_numbers_only_grow_whatever_the_clock_says(model: Path, serving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (serving / "2000000005").mkdir(parents=True)  # somebody's, and no release
    numbers = push(model, serving, 2)
    assert numbers == [2000000006, 2000000007]
    for number in numbers:
        shutil.rmtree(serving / str(number))
    shutil.rmtree(serving / "2000000005")
    monkeypatch.setattr(change.time, "time", lambda: 1.0)
    assert push(model, serving) == [2000000008]
    roll_forward = push(model, serving)[0]
    roll_back(serving, None, "me", "bad")
    newest = push(model, serving)[0]
    assert newest > roll_forward
    for text in (b"\xff\xfe", b"no number", b"9" * 5000, b""):
        (serving / ".last-number").write_bytes(text)
        newest += 1
        assert push(model, serving) == [newest]
    (serving / str(2**63 - 1)).mkdir()
    with pytest.raises(ServingDirectoryError, match=f"has version {2**63 - 1}, above which there is no number"):
        push(model, serving)


@pytest.mark.parametrize("hosts", [("", "", ""), ("one", "two", "three")], ids=["one machine", "without common locks"])
def test_pushers_at_once_never_share_a_number(
    hosts: tuple[str, ...], model: Path, serving: Path, tmp_path: Path
) -> None:
    results = [tmp_path / f"result {number}" for number in range(len(hosts))]
    finish(*[start(push_some, model, serving, result, 6, host) for result, host in zip(results, hosts, strict=True)])
    lists = [[int(number) for number in result.read_text().split()] for result in results]
    assert all(numbers == sorted(numbers) for numbers in lists), "a newer push has the higher number"
    assert (
        sorted(number for numbers in lists for number in numbers) == sorted(states(serving))
        and len(states(serving)) == 18
    )
    assert set(states(serving).values()) == {State.RELEASED}
    assert_all_intact(serving)


def test_a_push_that_hangs_is_not_waited_for_for_ever(serving: Path) -> None:
    hangs = pytest.raises(ServingDirectoryError, match=r"for more than 0\.1 s: see whether")
    with change.changing(serving, ""), hangs, change.changing(serving, "", patience=0.1):
        pass


# Kills


@pytest.mark.parametrize("renames", [True, False], ids=["renamed", "copied"])
def test_whenever_a_push_is_killed_what_is_there_is_whole(
    renames: bool, large_model: Path, serving: Path, request: pytest.FixtureRequest
) -> None:
    if not renames:
        forbid_folder_renames(serving, request.getfixturevalue("elsewhere"))
    began = time.monotonic()
    push(large_model, serving)
    duration = time.monotonic() - began
    chance = random.Random(0)
    cut = 0
    for _ in range(20):
        process = start(push_for_ever, large_model, serving)
        known = len(list(serving.glob("*/manifest.json")))
        while len(list(serving.glob("*/manifest.json"))) == known and process.is_alive():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 2 * duration))
        process.kill()
        process.join()
        cut += any((serving / ".unfinished").iterdir())
        there = list_versions(serving)
        if renames:
            assert {version.state for version in there} <= {State.RELEASED, State.STAGED, State.WITHDRAWN}
            assert sorted(path.name for path in serving.glob("[0-9]*")) == [
                str(version.number) for version in there if version.folder.parent == serving
            ]
        for version in there:
            if version.state != State.INCOMPLETE:
                assert verify(version.folder, version=version.number).problems == []
        current = production_version(serving)
        assert current is not None and verify(current).intact
        # What was there may go now; the leftovers are for the next push to remove.
        for version in [each for each in there if each.state == State.RELEASED and not each.events][:-2]:
            shutil.rmtree(version.folder)
    assert cut >= 8, "most kills have to hit a push"
    push(large_model, serving)
    assert list((serving / ".unfinished").iterdir()) == []
    assert State.INCOMPLETE not in states(serving).values()
    assert_all_intact(serving)
    numbers = [int(path.name) for path in serving.glob("**/[0-9]*[0-9]") if path.is_dir()]
    assert len(numbers) == len(set(numbers)), "a version is in one place"


def test_the_leftovers_of_another_machine_are_kept_for_a_day(model: Path, serving: Path) -> None:
    push(model, serving)
    for name, age in (("other-1-aa", 3600), ("other-2-bb", 100_000)):
        folder = serving / ".unfinished" / name
        folder.mkdir()
        os.utime(folder, (time.time() - age,) * 2)
    push(model, serving)
    assert [path.name for path in (serving / ".unfinished").iterdir()] == ["other-1-aa"]


# What the file system refuses


def test_without_renames_of_folders_versions_are_copied_the_manifest_last(
    model: Path, serving: Path, elsewhere: Path
) -> None:
    forbid_folder_renames(serving, elsewhere)
    first, second = push(model, serving, 2)
    assert not (serving / str(first)).is_symlink() and states(serving) == dict.fromkeys((first, second), State.RELEASED)
    roll_back(serving, None, "me", "bad")
    assert states(serving) == {first: State.RELEASED, second: State.WITHDRAWN}
    assert not (serving / str(second)).exists() and (elsewhere / "withdrawn" / str(second)).is_dir()
    roll_back(serving, second, "me", "good")
    assert states(serving) == dict.fromkeys((first, second), State.RELEASED)
    assert_all_intact(serving)
    assert remove_old_versions(serving, 1) == [first] and not (serving / str(first)).exists()


def test_a_push_that_cannot_write_everything_leaves_nothing(large_model: Path, serving: Path, tmp_path: Path) -> None:
    finish(start(push_with_small_files, large_model, serving, tmp_path / "error", 1_000_000))
    error = (tmp_path / "error").read_text()
    assert error.startswith(f"cannot write to the serving directory {str(serving)!r}: File too large")
    assert "nothing was released" in error and "raise the limit" in error
    assert states(serving) == {} and list((serving / ".unfinished").iterdir()) == []


def test_a_push_without_the_right_to_write_says_so(model: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        open_to_all = Path(name)
        open_to_all.chmod(0o777)
        serving = open_to_all / "serving"
        serving.mkdir(mode=0o555)
        copy = shutil.copytree(model, open_to_all / "model")
        copy.chmod(0o755)
        finish(start(push_as_somebody, copy, serving, open_to_all / "error"))
        error = (open_to_all / "error").read_text()
        assert "Permission denied" in error and "give this user the right to write there" in error
        assert list(serving.iterdir()) == []


_IN_A_SMALL_FILE_SYSTEM = """
mount -t tmpfs -o size=2m none {serving} && {python} -c '
import pathlib, subprocess, sys
from tests.helpers.pushing import RELEASE, write_model
from crackgate.releases import ServingDirectoryError, list_versions, publish
serving = pathlib.Path("{serving}")
small = write_model(pathlib.Path("{serving}").parent / "small")
publish(small, serving, RELEASE)
for model, prepare in ((pathlib.Path("{model}"), []), (small, ["mount", "-o", "remount,ro", str(serving)])):
    if prepare:
        subprocess.run(prepare, check=True)
    try:
        publish(model, serving, RELEASE)
    except ServingDirectoryError as error:
        print(error)
    print(len(list_versions(serving)), len(list((serving / ".unfinished").iterdir())))
'
"""


def test_a_full_or_read_only_disk_is_said_and_leaves_what_was_there(large_model: Path, serving: Path) -> None:
    serving.mkdir()
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system of its own")
    script = _IN_A_SMALL_FILE_SYSTEM.format(serving=serving, python=sys.executable, model=large_model)
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    full, after_full, read_only, after_read_only = done.stdout.splitlines()
    assert "No space left on device" in full and "make room there" in full and after_full == "1 0"
    assert "Read-only file system" in read_only and after_read_only == "1 0"
