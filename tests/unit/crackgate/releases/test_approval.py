"""A staged version: no server finds it until a person approves it, whoever dies meanwhile."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.releases import (
    NotComparedError,
    State,
    approve,
    find_version,
    find_withdrawn_model,
    list_versions,
    production_version,
    publish,
    read_manifest,
    reject,
    remove_old_versions,
    roll_back,
    staged_version,
    verify,
)
from crackgate.releases.change import changing
from crackgate.releases.manifest import measure_model
from crackgate.releases.records import add_event, folder_in
from crackgate.releases.withdrawal import AlteredVersionError, NoSuchVersionError
from tests.helpers.pushing import RELEASE, assert_all_intact, push, stage, start, states, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


def test_a_staged_version_is_where_no_server_scans_until_it_is_approved(model: Path, serving: Path) -> None:
    first = push(model, serving)[0]
    second = stage(model, serving)
    assert [path.name for path in serving.iterdir() if path.name.isdecimal()] == [str(first)]
    assert production_version(serving) == serving / str(first)
    assert states(serving) == {first: State.RELEASED, second: State.STAGED}
    assert staged_version(serving) == serving / "staged" / str(second) and verify(staged_version(serving)).intact
    assert read_manifest(staged_version(serving)).staged_against == first
    assert remove_old_versions(serving, 1) == [], "it counts for nothing"

    done = approve(serving, second, "ann@office", "looked at the misses")
    assert (done.in_production, done.withdrawn, done.approved) == (second, [], True)
    assert production_version(serving) == serving / str(second) and staged_version(serving) is None
    assert [(event.state, event.who, event.why) for event in find_version(serving, second).events] == [
        (State.RELEASED, "ann@office", "looked at the misses")
    ]
    assert not approve(serving, second, "ann", "twice").approved, "it is in production already"
    assert len(find_version(serving, second).events) == 1
    assert_all_intact(serving)
    assert push(model, serving)[0] > second
    with pytest.raises(NoSuchVersionError, match=f"rollback --to {second}' goes back to it; staged are: none"):
        approve(serving, second, "ann", "again")


def test_the_first_version_of_all_may_be_staged(model: Path, serving: Path) -> None:
    number = stage(model, serving)
    assert production_version(serving) is None and read_manifest(staged_version(serving)).staged_against == 0
    assert approve(serving, number, "me", "the first").approved
    assert production_version(serving) == serving / str(number)


def test_a_version_that_was_compared_with_another_one_takes_force(model: Path, serving: Path) -> None:
    first = push(model, serving)[0]
    staged = stage(model, serving)
    newer = push(model, serving)[0]
    with pytest.raises(NotComparedError, match=rf"with version {first}, and version {newer} is in.*newer \({newer}\)"):
        approve(serving, staged, "me", "why not")
    assert states(serving) == {first: State.RELEASED, staged: State.STAGED, newer: State.RELEASED}
    done = approve(serving, staged, "me", "the newer one fails", force=True)
    assert (done.withdrawn, done.approved) == ([newer], True)
    assert states(serving) == {first: State.RELEASED, staged: State.RELEASED, newer: State.WITHDRAWN}

    last = stage(model, serving)
    roll_back(serving, first, "me", "bad")
    with pytest.raises(NotComparedError, match=rf"with version {staged}, and version {first} is") as caught:
        approve(serving, last, "me", "why not")
    assert "newer" not in str(caught.value)
    assert approve(serving, last, "me", "it is good", force=True).withdrawn == []


def test_what_may_not_be_approved_says_what_may(model: Path, serving: Path) -> None:
    with pytest.raises(NoSuchVersionError, match="nothing was ever released there"):
        approve(serving, 5, "me", "good")
    with pytest.raises(NoSuchVersionError, match="nothing was ever released there"):
        reject(serving, 5, "me", "bad")
    assert not serving.exists()
    first = push(model, serving)[0]
    staged = stage(model, serving)
    for decide in (approve, reject):
        with pytest.raises(NoSuchVersionError, match=f"no complete version 5; staged are: {staged}"):
            decide(serving, 5, "me", "who knows")
    with pytest.raises(NoSuchVersionError, match=f"version {first} is released, not staged"):
        reject(serving, first, "me", "bad")
    with pytest.raises(NoSuchVersionError, match=f"version {staged} is staged and was never .* approve {staged}'"):
        roll_back(serving, staged, "me", "good")
    (staged_version(serving) / "fingerprint.pb").write_bytes(b"other")
    with pytest.raises(AlteredVersionError, match=r"fingerprint.pb was altered.*Nothing was changed"):
        approve(serving, staged, "me", "good", force=True)
    assert states(serving) == {first: State.RELEASED, staged: State.STAGED}


def test_a_rejected_version_is_withdrawn_and_may_be_reinstated(model: Path, serving: Path, tmp_path: Path) -> None:
    first = push(model, serving)[0]
    other = write_model(tmp_path / "other", seed=3)
    staged = stage(other, serving)
    assert find_withdrawn_model(serving, measure_model(other)) is None
    assert reject(serving, staged, "ann", "misses hairlines") and not reject(serving, staged, "ann", "twice")
    found = find_withdrawn_model(serving, measure_model(other))
    assert found.number == staged and found.events[0].why == "misses hairlines"
    with pytest.raises(NoSuchVersionError, match=f"was withdrawn: 'crackgate rollback --to {staged}' reinstates it"):
        approve(serving, staged, "me", "good")
    assert roll_back(serving, staged, "bob", "it was the lens").reinstated
    assert states(serving) == {first: State.RELEASED, staged: State.RELEASED}
    assert production_version(serving) == serving / str(staged)
    assert_all_intact(serving)


def test_a_released_manifest_is_read_by_older_versions_of_crackgate(model: Path, serving: Path) -> None:
    released = publish(model, serving, RELEASE)
    assert "staged_against" not in json.loads((released / MANIFEST_FILE).read_text())
    # Which of the others it was compared with is signed with the rest.
    folder = publish(model, serving, RELEASE, staged_against=int(released.name))
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "staged_against": 7}))
    assert "does not have its own digest" in verify(folder).problems[0]


def die_during(serving: Path, number: int, target: State, moved: bool) -> None:
    """Ends as a process that is killed after the record of a move, or after the move."""
    with changing(serving, "") as change:
        version = find_version(serving, number)
        change.announce_move(number)
        add_event(serving, version.manifest, target, "me@here", "a test")
        if moved:
            change.move(version.folder, folder_in(serving, number, target))
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "recorded"])
@pytest.mark.parametrize("target", [State.RELEASED, State.WITHDRAWN])
def test_a_killed_decision_has_happened_or_not(target: State, moved: bool, model: Path, serving: Path) -> None:
    first = push(model, serving)[0]
    staged = stage(model, serving)
    process = start(die_during, serving, staged, target, moved)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # A withdrawal counts from its record on, an approval from the move on.
    after = {first: State.RELEASED, staged: target if moved or target == State.WITHDRAWN else State.STAGED}
    assert states(serving) == after, "before anything is mended"
    assert production_version(serving) == serving / str(staged if after[staged] == State.RELEASED else first)
    with changing(serving, ""):
        pass
    assert states(serving) == after and list((serving / ".unfinished").iterdir()) == []
    assert find_version(serving, staged).events[-1].state == after[staged], "the record agrees"
    if not moved:
        again = roll_back if target == State.WITHDRAWN else approve
        again(serving, staged, "ann", "once more")
        assert production_version(serving) == serving / str(staged)
    assert_all_intact(serving)


def test_a_half_copied_approval_is_undone(model: Path, serving: Path) -> None:
    staged = stage(model, serving)
    workshop = serving / ".unfinished" / f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}-1-aa"
    workshop.mkdir(parents=True)
    (workshop / "moving").write_text(str(staged))
    # The file system has no renames of folders; the last files were not written.
    partial = shutil.copytree(serving / "staged" / str(staged), serving / str(staged))
    (partial / MANIFEST_FILE).unlink()
    assert states(serving) == {staged: State.STAGED} and production_version(serving) is None
    approve(serving, staged, "me", "good")
    assert [version.folder for version in list_versions(serving)] == [serving / str(staged)]
    assert not (serving / "staged" / str(staged)).exists()
    assert_all_intact(serving)
