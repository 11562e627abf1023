import errno
import fcntl
from pathlib import Path

import pytest

from crackgate.file_lock import lock_file


def test_a_lock_is_held_until_the_file_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert lock_file(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            lock_file(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


# No file system without locks can be mounted by a test.
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (tmp_path / "lock").open("w") as file:
        assert not lock_file(file, fcntl.LOCK_EX)


def test_another_error_is_raised(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        descriptor = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        lock_file(descriptor, fcntl.LOCK_EX)
