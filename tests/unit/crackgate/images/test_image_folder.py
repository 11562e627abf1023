"""Walking the data folder: every file is found once, whatever it is called, and every change is noticed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.images.image_folder import find_files, fingerprint, read_regular_file, walk_folders
from crackgate.images.rejection import RejectedImageError

# Any name that Linux allows and that is not hidden: no "/", no NUL, at most 255 bytes, and not necessarily UTF-8.
NAMES = (
    st.binary(min_size=1, max_size=40)
    .filter(lambda name: b"/" not in name and b"\0" not in name and not name.startswith(b"."))
    .map(os.fsdecode)
)
# Paths of one to three parts with contents; a name that is both a file and a folder cannot be written.
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.binary(max_size=3), max_size=8).filter(
    lambda tree: not any(a != b and a == b[: len(a)] for a in tree for b in tree)
)


def _write(folder: Path, *paths: str) -> None:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"picture")


def _paths(folder: Path) -> list[str]:
    return list(find_files(folder))


def _print(folder: Path) -> str:
    return fingerprint(folder, find_files(folder), {})


def test_files_come_folder_by_folder_in_sorted_order(tmp_path: Path) -> None:
    _write(tmp_path, "b/2.jpg", "b/10.jpg", "a/deep/er/1.jpg", "a/z.jpg", "readme.txt")
    assert _paths(tmp_path) == ["readme.txt", "a/z.jpg", "a/deep/er/1.jpg", "b/10.jpg", "b/2.jpg"]


def test_the_walk_enters_no_folder_that_its_caller_removes(tmp_path: Path) -> None:
    _write(tmp_path, "a/1.jpg", "a/left out/2.jpg", "b/3.jpg")
    seen = []
    for listed in walk_folders(tmp_path):
        seen.append((listed.path, listed.files, list(listed.folders)))
        listed.folders = [name for name in listed.folders if name != "left out"]
    assert seen == [("", [], ["a", "b"]), ("a/", ["1.jpg"], ["left out"]), ("b/", ["3.jpg"], [])]


def test_a_folder_without_files_has_none(tmp_path: Path) -> None:
    (tmp_path / "empty" / "also empty").mkdir(parents=True)
    assert _paths(tmp_path) == []


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_data_folder_that_is_none_is_an_error_not_an_empty_data_set(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for look in (_paths, _print):
        with pytest.raises(OSError, match=name):
            look(tmp_path / name)


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere", "album/1.jpg", "single.jpg")
    data = tmp_path / "data"
    _write(data, "a/own.jpg")
    (data / "b").symlink_to(tmp_path / "elsewhere" / "album", target_is_directory=True)
    (data / "a" / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "single.jpg")
    assert _paths(data) == ["a/linked.jpg", "a/own.jpg", "b/1.jpg"]


def test_a_data_folder_that_is_itself_a_link_is_followed(tmp_path: Path) -> None:
    _write(tmp_path / "real", "a/1.jpg")
    (tmp_path / "link").symlink_to("real")
    assert _paths(tmp_path / "link") == ["a/1.jpg"]


@pytest.mark.parametrize("target", ["..", ".", "../..", "../../a/deep"])
def test_a_link_back_to_a_folder_that_holds_it_is_not_entered(tmp_path: Path, target: str) -> None:
    _write(tmp_path, "a/deep/1.jpg")
    (tmp_path / "a" / "deep" / "loop").symlink_to(target)
    assert _paths(tmp_path) == ["a/deep/1.jpg"]


def test_a_link_to_another_class_does_not_take_its_images_away(tmp_path: Path) -> None:
    # "a" is walked first: its link must not make the real folder count as seen.
    _write(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "more").symlink_to("../b")
    (tmp_path / "b" / "more").symlink_to("../a")
    assert _paths(tmp_path) == ["a/1.jpg", "a/more/2.jpg", "b/2.jpg", "b/more/1.jpg"]


@pytest.mark.parametrize("target", ["nowhere", "dangling.jpg"], ids=["to nothing", "to itself"])
def test_a_dangling_link_is_found_so_that_it_can_be_reported(tmp_path: Path, target: str) -> None:
    _write(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "dangling.jpg").symlink_to(target)
    assert _paths(tmp_path) == ["a/1.jpg", "a/dangling.jpg"]
    assert len(_print(tmp_path)) == 64


@pytest.mark.parametrize("path", ["a/locked", "locked"])
def test_a_folder_without_permission_is_reported_as_a_path_that_ends_in_a_slash(tmp_path: Path, path: str) -> None:
    _write(tmp_path, "a/1.jpg", f"{path}/2.jpg")
    (tmp_path / path).chmod(0)
    try:
        if os.access(tmp_path / path, os.R_OK):
            pytest.skip("this user may list any folder; the next test needs no permissions")
        assert f"{path}/" in _paths(tmp_path)
        assert len(_print(tmp_path)) == 64
        with pytest.raises(PermissionError, match="Permission denied"):
            read_regular_file(f"{tmp_path / path}/", 100)
    finally:
        (tmp_path / path).chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_reported_as_a_path_that_ends_in_a_slash(tmp_path: Path) -> None:
    # Nested deeper than a path may be long: the kernel refuses to list the lowest folders, even for root.
    _write(tmp_path, "a/1.jpg")
    part, depth = "n" * 250, 20
    handle = os.open(tmp_path / "a", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(part, dir_fd=handle)
        deeper = os.open(part, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(handle)
    try:
        first, unlisted = find_files(tmp_path)
        assert first == "a/1.jpg"
        assert unlisted.startswith(f"a/{part}/")
        assert unlisted.endswith("/")
        assert len(_print(tmp_path)) == 64
    finally:
        shutil.rmtree(os.fsencode(tmp_path / "a"))


def test_a_folder_that_vanishes_during_the_walk_is_reported(tmp_path: Path) -> None:
    _write(tmp_path, "a/1.jpg", "b/2.jpg")
    walk = find_files(tmp_path)
    found = [next(walk)]
    shutil.rmtree(tmp_path / "b")
    found += walk
    assert found == ["a/1.jpg", "b/"]


def test_a_folder_is_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_regular_file(f"{tmp_path}/", 100)


@pytest.mark.parametrize(("size", "allowed"), [(0, 10), (9, 10), (10, 10)])
def test_a_file_within_the_limit_is_read_whole(tmp_path: Path, size: int, allowed: int) -> None:
    (tmp_path / "1.jpg").write_bytes(bytes(range(size)))
    assert read_regular_file(str(tmp_path / "1.jpg"), allowed) == bytes(range(size))


def test_a_larger_file_is_refused_by_its_true_size_and_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "1.jpg", "wb") as file:
        file.truncate(3_000_000_000)
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(RejectedImageError, match="too large: 3000000000 bytes, allowed are 10"):
        read_regular_file(str(tmp_path / "1.jpg"), 10)


def test_a_file_that_has_grown_since_its_size_was_asked_for_is_read_whole() -> None:
    # Of this one the kernel says that it is empty.
    assert os.stat("/proc/self/limits").st_size == 0
    assert read_regular_file("/proc/self/limits", 100_000) == Path("/proc/self/limits").read_bytes()
    assert len(read_regular_file("/proc/self/limits", 100)) == 101


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_every_file_is_found_once_under_any_name(tree: dict[tuple[str, ...], bytes]) -> None:
    with TemporaryDirectory() as folder:
        for parts, content in tree.items():
            path = Path(folder).joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        found = _paths(Path(folder))
    assert sorted(found) == sorted("/".join(parts) for parts in tree)


@pytest.mark.parametrize("name", ["new\nline.jpg", "a b.jpg", "Riß 裂缝.jpg", os.fsdecode(b"caf\xe9.jpg"), "-rf", "~"])
def test_unusual_names_come_back_as_they_are(tmp_path: Path, name: str) -> None:
    _write(tmp_path, f"class/{name}")
    assert _paths(tmp_path) == [f"class/{name}"]
    assert os.path.exists(tmp_path / _paths(tmp_path)[0])


def _sample(folder: Path) -> None:
    _write(folder, "a/1.jpg", "a/2.jpg", "b/3.jpg", "b/deep/4.jpg")
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"pictur" + path.stem.encode())
        # As unpacked from an archive: all of one age.
        os.utime(path, ns=(10**18, 10**18))


def _swap(folder: Path) -> None:
    (folder / "a/1.jpg").rename(folder / "spare")
    (folder / "b/3.jpg").rename(folder / "a/1.jpg")
    (folder / "spare").rename(folder / "b/3.jpg")


def _rewrite_and_hide_it(folder: Path) -> None:
    (folder / "a/1.jpg").write_bytes(b"PICTURE")
    os.utime(folder / "a/1.jpg", ns=(10**18, 10**18))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is added": lambda folder: _write(folder, "a/9.jpg"),
    "an empty file is added": lambda folder: (folder / "a/9.jpg").touch(),
    "a file is removed": lambda folder: (folder / "a/2.jpg").unlink(),
    "a file is renamed": lambda folder: (folder / "a/2.jpg").rename(folder / "a/5.jpg"),
    "a file moves to another class, as old as before": lambda folder: (folder / "a/2.jpg").rename(folder / "b/2.jpg"),
    "a file moves within its class": lambda folder: (folder / "b/3.jpg").rename(folder / "b/deep/3.jpg"),
    "a class is renamed": lambda folder: (folder / "b").rename(folder / "c"),
    "two files of one size and age swap names": _swap,
    "a file grows": lambda folder: (folder / "a/1.jpg").write_bytes(b"a larger picture"),
    "a file is rewritten with the same size": lambda folder: (folder / "a/1.jpg").write_bytes(b"PICTURE"),
    "a file is rewritten with the same size and age": _rewrite_and_hide_it,
    "a link dangles": lambda folder: (folder / "a/9.jpg").symlink_to("nowhere"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_fingerprint_changes_when(tmp_path: Path, change: Callable[[Path], object]) -> None:
    _sample(tmp_path)
    before = _print(tmp_path)
    change(tmp_path)
    assert _print(tmp_path) != before


def _take_over(folder: Path) -> None:
    for path in [*folder.glob("[ab]"), *(folder / "copy").iterdir()]:
        shutil.rmtree(path) if path.parent == folder else path.rename(folder / path.name)
    (folder / "copy").rmdir()


NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing happens": lambda _: None,
    "a file is read": lambda folder: (folder / "a/1.jpg").read_bytes(),
    "an empty folder appears": lambda folder: (folder / "c").mkdir(),
    "rights change": lambda folder: (folder / "a/1.jpg").chmod(0o400),
    "a file gets another link": lambda folder: os.link(folder / "a/1.jpg", folder.parent / f"{folder.name} link"),
    "all is unpacked again": lambda folder: (shutil.copytree(folder, folder / "copy"), _take_over(folder)),
    "a file comes and goes": lambda folder: (_write(folder, "a/9.jpg"), (folder / "a/9.jpg").unlink()),
}


@pytest.mark.parametrize("event", NO_CHANGES.values(), ids=NO_CHANGES)
def test_the_fingerprint_stays_when(tmp_path: Path, event: Callable[[Path], object]) -> None:
    _sample(tmp_path)
    before = _print(tmp_path)
    event(tmp_path)
    assert _print(tmp_path) == before


def test_the_fingerprint_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    _sample(tmp_path / "here")
    before = _print(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert _print(tmp_path / "there") == before


def test_the_fingerprint_follows_a_link_to_its_new_target(tmp_path: Path) -> None:
    _write(tmp_path, "old.jpg", "data/a/1.jpg")
    (tmp_path / "new.jpg").write_bytes(b"another picture")
    link = tmp_path / "data" / "a" / "link.jpg"
    link.symlink_to(tmp_path / "old.jpg")
    before = _print(tmp_path / "data")
    link.unlink()
    link.symlink_to(tmp_path / "new.jpg")
    assert _print(tmp_path / "data") != before


@settings(max_examples=40, deadline=None)
@given(TREES.filter(lambda tree: len(tree) > 1), st.data())
def test_the_fingerprint_tells_any_two_trees_apart(tree: dict[tuple[str, ...], bytes], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        for parts, content in tree.items():
            path = Path(folder).joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        before = _print(Path(folder))
        assert _print(Path(folder)) == before
        removed = Path(folder).joinpath(*data.draw(st.sampled_from(sorted(tree))))
        removed.unlink()
        assert _print(Path(folder)) != before
