"""Files and folders that are written as a whole: nothing else is ever seen, whoever fails, dies or writes meanwhile."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing import get_context
from pathlib import Path

import pytest

from crackgate.atomic_files import whole_file, whole_folder, write_bytes, write_text

PROJECT = Path(__file__).resolve().parents[3]

Whole = Callable[[Path], AbstractContextManager[Path]]


def _fill(partial: Path, text: str) -> None:
    file = partial / "nested" / "file" if partial.is_dir() else partial
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def _read(target: Path) -> str:
    return (target / "nested" / "file" if target.is_dir() else target).read_text()


both = pytest.mark.parametrize("whole", [whole_file, whole_folder])


@both
def test_it_appears_at_the_end_with_nothing_beside_it(whole: Whole, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with whole(target) as partial:
        _fill(partial, "new")
        assert not target.exists() and partial.parent == tmp_path
    assert _read(target) == "new" and list(tmp_path.iterdir()) == [target]


@both
def test_it_is_made_with_the_usual_permissions(whole: Whole, tmp_path: Path) -> None:
    with whole(tmp_path / "target") as partial:
        _fill(partial, "new")
    made = tmp_path / "made"
    made.touch() if whole is whole_file else made.mkdir()
    assert (tmp_path / "target").stat().st_mode == made.stat().st_mode


@both
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_nothing(whole: Whole, error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), whole(tmp_path / "target") as partial:
        _fill(partial, "half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_the_place_of_another_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "target"
    write_text(target, "old")
    with pytest.raises(RuntimeError), whole_file(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    write_bytes(target, "größer".encode())
    assert target.read_text("utf-8") == "größer" and list(tmp_path.iterdir()) == [target]


def test_a_link_stays_and_the_file_that_it_points_to_is_replaced(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "elsewhere" / "file"
    file.parent.mkdir()
    file.write_text("old")
    link.symlink_to("elsewhere/file")
    write_text(link, "new")
    assert link.is_symlink() and file.read_text() == "new"
    file.unlink()
    write_text(link, "again")
    assert link.is_symlink() and file.read_text() == "again"


def test_a_device_and_a_fifo_are_written_to_and_stay(tmp_path: Path) -> None:
    write_text(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_text(fifo, "rows")
    assert os.read(reader, 10) == b"rows" and fifo.is_fifo()
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_a_file_that_is_open_already_is_written_on(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text("earlier\n")
    with file.open("ab") as stream:
        for name in (f"/dev/fd/{stream.fileno()}", f"/proc/self/fd/{stream.fileno()}"):
            write_text(Path(name), "rows\n")
    assert file.read_text() == "earlier\nrows\nrows\n" and list(tmp_path.iterdir()) == [file]


def test_a_file_needs_its_folder_and_a_folder_makes_those_above_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "absent" / "file"):
        pass
    with whole_folder(tmp_path / "absent" / "too" / "folder"):
        pass
    assert (tmp_path / "absent" / "too" / "folder").is_dir()


def test_a_folder_takes_the_place_of_an_empty_one_and_of_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with whole_folder(target) as partial:
        _fill(partial, "first")
    with pytest.raises(OSError, match="not empty"), whole_folder(target) as partial:
        _fill(partial, "second")
    assert _read(target) == "first" and list(tmp_path.iterdir()) == [target]


_KILLED = """
import os, pathlib, sys
from crackgate import atomic_files
with getattr(atomic_files, sys.argv[1])(pathlib.Path(sys.argv[2])) as partial:
    if partial.is_dir():
        partial = partial / "half"
    partial.write_bytes(b"half")
    print(flush=True)
    input()
"""


@both
def test_a_killed_writer_leaves_the_target_alone_and_the_next_one_cleans_up(whole: Whole, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if whole is whole_file:
        target.write_text("old")
    command = [sys.executable, "-c", _KILLED, whole.__name__, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (partial,) = tmp_path.glob(".target.*.partial")
        long_ago = (time.time() - 3600,) * 2
        os.utime(partial, long_ago)
        if whole is whole_file:
            write_text(target, "meanwhile")
        else:
            with pytest.raises(RuntimeError), whole(target):
                raise RuntimeError
        assert partial.exists(), "its writer lives"
        writer.send_signal(signal.SIGKILL)
    assert partial.exists()
    assert target.exists() == (whole is whole_file)
    with whole(target) as again:
        _fill(again, "new")
    assert _read(target) == "new" and list(tmp_path.iterdir()) == [target]


def test_what_belongs_to_another_target_is_left_alone(tmp_path: Path) -> None:
    others = [tmp_path / name for name in (".target2.aa.partial", ".a.target.aa.partial", "target.partial")]
    for other in others:
        other.touch()
        os.utime(other, (0, 0))
    write_text(tmp_path / "target", "new")
    assert all(other.exists() for other in others)


def _write_often(target: Path, text: str) -> None:
    for _ in range(200):
        write_text(target, text)


def test_of_several_writers_at_once_each_writes_the_whole(tmp_path: Path) -> None:
    target = tmp_path / "target"
    texts = [letter * 10_000 for letter in "abc"]
    write_text(target, texts[0])
    processes = [get_context("spawn").Process(target=_write_often, args=(target, text)) for text in texts]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        assert target.read_text() in texts
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [target]


def _write_too_much(whole: Whole, target: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        with whole(target) as partial:
            _fill(partial, "x" * 1000)
    except OSError as error:
        sys.exit(error.errno)


@both
def test_a_file_that_grows_too_large_leaves_nothing(whole: Whole, tmp_path: Path) -> None:
    process = get_context("spawn").Process(target=_write_too_much, args=(whole, tmp_path / "target"))
    process.start()
    process.join()
    assert os.strerror(process.exitcode or 0) == "File too large"
    assert list(tmp_path.iterdir()) == []


_ON_A_FULL_DISK = """
mount -t tmpfs -o size=64k none {folder} && {python} -c '
import errno, pathlib
from crackgate.atomic_files import whole_file, whole_folder
folder = pathlib.Path("{folder}")
(folder / "target").write_text("old")
for whole, name in ((whole_file, "target"), (whole_folder, "folder")):
    try:
        with whole(folder / name) as partial:
            (partial / "file" if partial.is_dir() else partial).write_bytes(bytes(1_000_000))
    except OSError as error:
        print(errno.errorcode[error.errno], [path.name for path in folder.iterdir()], (folder / "target").read_text())
'
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system of its own")
    script = _ON_A_FULL_DISK.format(folder=tmp_path, python=sys.executable)
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ENOSPC ['target'] old"] * 2


_WRITE = """
import pathlib, sys
from crackgate import atomic_files
with getattr(atomic_files, sys.argv[1])(pathlib.Path(sys.argv[2])) as partial:
    (partial / "file" if partial.is_dir() else partial).write_text("new")
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@both
def test_everything_is_on_the_disk_before_it_gets_its_name_and_the_name_after(whole: Whole, tmp_path: Path) -> None:
    trace, target = tmp_path / "trace", tmp_path / "folder" / "target"
    target.parent.mkdir()
    strace = ["strace", "-f", "-y", "-qq", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(trace)]
    subprocess.run([*strace, sys.executable, "-c", _WRITE, whole.__name__, str(target)], check=True, cwd=PROJECT)
    calls = re.findall(rf"(fsync|rename)\w*\(.*?{re.escape(str(target.parent))}(\S*?)[>\"]", trace.read_text())
    partial = re.escape("/.target.") + "[0-9a-f]{8}" + re.escape(".partial")
    expected = ["fsync:" + partial, "rename:" + partial, "fsync:"]
    if whole is whole_folder:
        expected.insert(0, "fsync:" + partial + "/file")
    assert len(calls) == len(expected)
    for (call, path), pattern in zip(calls, expected, strict=True):
        assert re.fullmatch(pattern, f"{call}:{path}"), calls
