"""The serving directory: what is in it is what was released, and who took it back is known."""

import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.releases import (
    ManifestError,
    ServingDirectoryError,
    State,
    find_version,
    find_withdrawn_model,
    held,
    list_versions,
    production_version,
    publish,
    read_manifest,
    remove_old_versions,
    roll_back,
    staged_version,
    verify,
)
from crackgate.releases.manifest import build_manifest, digest_model, list_files, measure_file, measure_model
from crackgate.releases.withdrawal import AlteredVersionError, NoSuchVersionError
from tests.helpers.pushing import RELEASE, assert_all_intact, push, states, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


# Reading


def test_only_complete_versions_count_and_the_newest_is_last(model: Path, serving: Path) -> None:
    assert production_version(serving) is None and list_versions(serving) == []
    first, second = push(model, serving, 2)
    for name in ("not a version", "007", "99999999999999999999"):
        shutil.copytree(serving / str(second), serving / name)
    (serving / "1900000000" / "variables").mkdir(parents=True)
    shutil.copytree(serving / str(second), serving / "1900000001")
    (serving / "1900000002").touch()
    cut = shutil.copytree(serving / str(second), serving / "1900000003")
    assert states(serving) == {
        first: State.RELEASED,
        second: State.RELEASED,
        1900000000: State.INCOMPLETE,
        1900000001: State.INCOMPLETE,
        1900000003: State.INCOMPLETE,
    }
    assert production_version(serving) == serving / str(second)
    manifest = json.loads((cut / MANIFEST_FILE).read_text())
    (cut / MANIFEST_FILE).write_text(json.dumps({**manifest, "version": 1900000003}))
    assert production_version(serving) == cut
    (cut / "saved_model.pb").write_bytes(b"half")
    assert production_version(serving) == serving / str(second)
    problems = {number: find_version(serving, number).problem for number in (1900000000, 1900000001, 1900000003)}
    assert "has no manifest.json" in problems[1900000000]
    assert f"is that of version {second}" in problems[1900000001]
    assert "has 4 bytes, and 1,000 in the manifest" in problems[1900000003]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("manifest.json", b"{", "not as crackgate writes it"),
        ("manifest.json", b"{}", "version: Field required"),
        ("manifest.json", b"\xff\xfe", "not as crackgate writes it"),
        ("manifest.json", None, "has no manifest.json"),
        ("saved_model.pb", None, "saved_model.pb is missing"),
        ("variables/variables.index", b"indes", "variables/variables.index was altered: its SHA-256 is"),
        ("variables/variables.index", b"indexes", "variables/variables.index has 7 bytes, and 5 in the manifest"),
        ("assets/model_version.txt", b"1111111111\n", "assets/model_version.txt was altered"),
        ("assets/more.txt", b"more", "assets/more.txt was added"),
        ("manifest.sig", b"s" * 64, "manifest.sig was added: the manifest says that the release is not signed"),
    ],
)
def test_what_was_changed_is_named(name: str, content: bytes | None, expected: str, model: Path, serving: Path) -> None:
    folder = publish(model, serving, RELEASE)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    (problem,) = verify(folder).problems
    assert expected in problem


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    return publish(write_model(folder / "model", size=50), folder / "serving", RELEASE)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_bit_can_be_flipped_unseen(released: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*list_files(released), str(MANIFEST_FILE)]))
    file = released / name
    content = bytearray(whole := file.read_bytes())
    content[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    # JSON with other white space says the same.
    if name == str(MANIFEST_FILE) and _same_json(bytes(content), whole):
        return
    file.write_bytes(content)
    try:
        assert verify(released).problems
    finally:
        file.write_bytes(whole)


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def test_a_manifest_names_no_file_outside(model: Path, serving: Path) -> None:
    folder = publish(model, serving, RELEASE)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    for name in ("../secret", "/etc/passwd", "", "a\0b"):
        manifest["files"] = {name: {"bytes": 1, "sha256": "0" * 64}}
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
        with pytest.raises(ManifestError, match="is no path inside the version's folder"):
            read_manifest(folder)


def _replace(path: Path, kind: str) -> None:
    """Puts something else in the place of a file or folder; a link leads to the same content."""
    aside = path.rename(path.parents[2] / "aside")
    if kind == "a symbolic link":
        path.symlink_to(aside)
    elif kind == "a FIFO":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["a symbolic link", "a FIFO", "a folder"])
@pytest.mark.parametrize("name", ["saved_model.pb", "manifest.json", "fingerprint.pb"])
def test_nothing_but_a_regular_file_is_taken_for_one_nor_waited_for(
    name: str, kind: str, model: Path, serving: Path
) -> None:
    first, second = push(model, serving, 2)
    _replace(serving / str(second) / name, kind)
    assert production_version(serving) == serving / str(first)
    said = f"is {kind}, not a regular file"
    assert said in find_version(serving, second).problem
    assert any(name in problem and said in problem for problem in verify(serving / str(second)).problems)
    if name == "manifest.json":
        with pytest.raises(OSError, match=said), held(serving / str(second)):
            pass


def test_a_link_in_place_of_a_folder_or_a_version_is_refused_by_name(model: Path, serving: Path) -> None:
    first, second, third = push(model, serving, 3)
    _replace(serving / str(third) / "variables", "a symbolic link")
    assert "variables' is a symbolic link, not a folder" in find_version(serving, third).problem
    assert "variables is a symbolic link, not a regular file" in verify(serving / str(third)).problems
    (serving / str(second)).rename(serving.parent / "elsewhere")
    (serving / str(second)).symlink_to(serving.parent / "elsewhere")
    assert "is a symbolic link: a version is a folder of its own" in find_version(serving, second).problem
    assert production_version(serving) == serving / str(first)


def test_what_was_added_is_named_even_if_it_cannot_be_read_or_printed(model: Path, serving: Path) -> None:
    folder = publish(model, serving, RELEASE)
    os.mkfifo(folder / "assets" / "pipe")
    (folder / "link").symlink_to("/dev/zero")
    (folder / "red\x1b[31m").write_bytes(b"")
    assert verify(folder).problems == [
        "assets/pipe is a FIFO, not a regular file",
        "link is a symbolic link, not a regular file",
        r"'red\x1b[31m' was added: the manifest does not name it",
    ]


# Rollback


def test_a_long_verification_keeps_no_push_waiting(model: Path, serving: Path) -> None:
    first, _ = push(model, serving, 2)
    folder = serving / str(first)
    with (folder / "large").open("wb") as large:
        large.truncate(2**29)
    files = {name: measure_file(folder / name) for name in list_files(folder)}
    manifest = build_manifest(first, files, digest_model(files), RELEASE, None)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    rollback = threading.Thread(target=roll_back, args=(serving, first, "me", "bad"))
    rollback.start()
    third = push(model, serving)[0]
    assert rollback.is_alive(), "it reads half a gigabyte"
    rollback.join()
    assert states(serving)[third] == State.WITHDRAWN, "it was released before the rollback"
    assert states(serving)[first] == State.RELEASED


def test_a_rollback_withdraws_with_who_when_and_why_and_is_taken_back(model: Path, serving: Path) -> None:
    first, second, third = push(model, serving, 3)
    done = roll_back(serving, None, "ann@office", "missed cracks in the rain")
    assert (done.in_production, done.withdrawn, done.reinstated) == (second, [third], False)
    assert production_version(serving) == serving / str(second)
    withdrawn = find_version(serving, third)
    assert withdrawn.state == State.WITHDRAWN and withdrawn.folder == serving / "withdrawn" / str(third)
    assert [(event.state, event.who, event.why) for event in withdrawn.events] == [
        (State.WITHDRAWN, "ann@office", "missed cracks in the rain")
    ]
    assert withdrawn.events[0].when.endswith("+00:00") and verify(withdrawn.folder, version=third).intact

    assert roll_back(serving, second, "ann", "again").withdrawn == [], "it is in use already"
    assert roll_back(serving, first, "ann", "further").withdrawn == [second]
    done = roll_back(serving, third, "bob", "it was the lens")
    assert (done.in_production, done.withdrawn, done.reinstated) == (third, [], True)
    assert states(serving) == {first: State.RELEASED, second: State.WITHDRAWN, third: State.RELEASED}
    assert [event.state for event in find_version(serving, third).events] == [State.WITHDRAWN, State.RELEASED]
    done = roll_back(serving, second, "bob", "no")
    assert (done.withdrawn, done.reinstated) == ([third], True)


def test_a_rollback_to_nothing_says_what_there_is(model: Path, serving: Path) -> None:
    with pytest.raises(NoSuchVersionError, match="nothing was ever released there"):
        roll_back(serving, None, "me", "bad")
    (number,) = push(model, serving)
    with pytest.raises(NoSuchVersionError, match=rf"no earlier version to go back to; .*: {number} \(released\)"):
        roll_back(serving, None, "me", "bad")
    with pytest.raises(NoSuchVersionError, match=rf"no complete version 5; the versions are: {number}"):
        roll_back(serving, 5, "me", "bad")


def test_a_rollback_goes_to_no_altered_version(model: Path, serving: Path) -> None:
    first, second = push(model, serving, 2)
    (serving / str(first) / "fingerprint.pb").write_bytes(b"other")
    with pytest.raises(AlteredVersionError, match=r"fingerprint.pb was altered.*Nothing was changed"):
        roll_back(serving, None, "me", "bad")
    assert states(serving) == dict.fromkeys((first, second), State.RELEASED)


def test_a_withdrawn_model_is_known_even_when_its_files_are_gone(model: Path, serving: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=3)
    first = push(other, serving)[0]
    second = push(model, serving)[0]
    digest = measure_model(model)
    assert find_withdrawn_model(serving, digest) is None
    roll_back(serving, None, "me", "bad")
    assert find_withdrawn_model(serving, digest).number == second
    assert find_withdrawn_model(serving, measure_model(other)) is None
    shutil.rmtree(serving / "withdrawn" / str(second))
    assert find_withdrawn_model(serving, digest).number == second
    assert states(serving) == {first: State.RELEASED, second: State.WITHDRAWN}
    with pytest.raises(NoSuchVersionError, match=f"no complete version {second}"):
        roll_back(serving, second, "me", "good")


def test_a_reinstated_model_is_not_held_back(model: Path, serving: Path) -> None:
    _, second = push(model, serving, 2)
    # Another version of the same model is in production, so it is not the model that was found wanting.
    roll_back(serving, None, "me", "bad")
    assert find_withdrawn_model(serving, measure_model(model)) is None
    roll_back(serving, second, "me", "good")
    assert find_withdrawn_model(serving, measure_model(model)) is None


@pytest.mark.parametrize("back", [shutil.copytree, shutil.move], ids=["copied", "moved"])
@pytest.mark.parametrize("place", ["", "staged"], ids=["released", "staged"])
def test_a_withdrawn_version_whose_folder_is_put_back_by_hand_stays_withdrawn(
    back: Callable[[Path, Path], object], place: str, model: Path, serving: Path, tmp_path: Path
) -> None:
    first = push(model, serving)[0]
    second = push(write_model(tmp_path / "other", seed=3), serving)[0]
    roll_back(serving, None, "ann@office", "misses cracks")
    inside, stray = serving / "withdrawn" / str(second), serving / place / str(second)
    stray.parent.mkdir(exist_ok=True)
    back(inside, stray)
    assert production_version(serving) == serving / str(first) and staged_version(serving) is None
    assert states(serving) == {first: State.RELEASED, second: State.WITHDRAWN}
    assert find_withdrawn_model(serving, measure_model(tmp_path / "other")).number == second
    said = rf"'{stray}' is passed over, since ann@office withdrew version {second} on .* \(misses cracks\): "
    advice = "remove that copy; " if inside.exists() else ""
    assert re.match(f"{said}{advice}'crackgate rollback --to {second}'", find_version(serving, second).problem)
    if inside.exists() and not place:
        with pytest.raises(ServingDirectoryError, match=f"'{stray}', which is there already: remove it"):
            roll_back(serving, second, "bob", "it was the lens")
        assert find_version(serving, second).events[-1].state == State.WITHDRAWN
        shutil.rmtree(stray)
    assert roll_back(serving, second, "bob", "it was the lens").reinstated
    assert production_version(serving) == serving / str(second) and find_version(serving, second).problem == ""


def test_a_record_that_cannot_be_read_stops_a_rollback_and_is_named(model: Path, serving: Path) -> None:
    first, second = push(model, serving, 2)
    roll_back(serving, first, "me", "bad")
    (serving / "withdrawn" / f"{second}.json").write_text("{")
    with pytest.raises(ManifestError, match=rf"{second}\.json', which says why version {second} was withdrawn"):
        list_versions(serving)
    assert production_version(serving) == serving / str(first), "readers need no record"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(st.just("push"), st.integers(0, 5), st.just("keep")), max_size=12))
def test_the_version_in_use_is_always_the_one_that_was_asked_for(
    tmp_path_factory: pytest.TempPathFactory, model: Path, steps: list[str | int]
) -> None:
    serving = tmp_path_factory.mktemp("steps") / "serving"
    known: list[int] = []
    withdrawn: set[int] = set()
    for step in steps:
        if step == "push":
            known += push(model, serving)
        elif step == "keep":
            standing = [number for number in known if number not in withdrawn]
            if standing:
                assert remove_old_versions(serving, 2) == standing[:-2]
                known = [number for number in known if number in withdrawn or number in standing[-2:]]
        elif isinstance(step, int) and step < len(known):
            roll_back(serving, known[step], "me", "a test")
            withdrawn = {*withdrawn, *known[step + 1 :]} - {known[step]}
        standing = [number for number in known if number not in withdrawn]
        assert production_version(serving) == (serving / str(standing[-1]) if standing else None)
        assert states(serving) == {
            number: State.WITHDRAWN if number in withdrawn else State.RELEASED for number in known
        }
        assert_all_intact(serving)


# Retention


def test_the_last_versions_stay_and_so_do_those_that_are_read(model: Path, serving: Path) -> None:
    numbers = push(model, serving, 5)
    assert remove_old_versions(serving, 0) == []
    with held(serving / str(numbers[1])), held(serving / str(numbers[1])):
        assert remove_old_versions(serving, 2) == [numbers[0], numbers[2]]
        assert verify(serving / str(numbers[1])).intact
    assert list(states(serving)) == [numbers[1], *numbers[3:]]
    roll_back(serving, None, "me", "bad")
    assert remove_old_versions(serving, 1) == [numbers[1]], "withdrawn versions do not count, and stay"
    assert states(serving) == {numbers[3]: State.RELEASED, numbers[4]: State.WITHDRAWN}
    assert remove_old_versions(serving, 1) == [], "the one in use is never removed"
    with pytest.raises(FileNotFoundError), held(serving / str(numbers[0])):
        pass
