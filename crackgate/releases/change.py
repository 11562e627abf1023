"""One change of the serving directory at a time; each removes the leftovers of killed ones."""

import errno
import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crackgate.atomic_files import sync_folder, write_text
from crackgate.file_lock import lock_file
from crackgate.releases.durable_files import move_folder, remove_folder
from crackgate.releases.manifest import Manifest
from crackgate.releases.records import STAGED_FOLDER, WITHDRAWN_FOLDER, State, add_event, folder_in, read_record
from crackgate.releases.versions import PLACES, examine, is_number, numbered_folders

log = logging.getLogger("crackgate")

LOCK_FILE = ".lock"
# In a serving directory whose versions come from elsewhere; see `mirror`.
MIRROR_FILE = ".mirror-of"
LAST_NUMBER_FILE = ".last-number"
UNFINISHED_FOLDER = ".unfinished"
# A workshop's file with the number of the version that is being moved.
_MOVING_FILE = "moving"
# A longer number is none of ours.
_MOST_DIGITS = 20
_PATIENCE = 600.0
_DAY = 86_400.0


class ServingDirectoryError(Exception):
    """The serving directory could not be changed; the message says why, how it stands, and what to do."""


@dataclass(frozen=True)
class Change:
    """The only change that goes on; `workshop` is an empty folder on the same file system, removed at the end."""

    serving_dir: Path
    workshop: Path

    def next_number(self) -> int:
        """Returns a new version's number: the time, or one above the highest number ever given here."""
        parents = (self.serving_dir, self.serving_dir / STAGED_FOLDER, self.serving_dir / WITHDRAWN_FOLDER)
        taken = [number for parent in parents for number in numbered_folders(parent)]
        # Deleting a version by hand does not free its number.
        last = self.serving_dir / LAST_NUMBER_FILE
        text = last.read_bytes()[:_MOST_DIGITS].decode(errors="replace") if last.is_file() else ""
        if is_number(text):
            taken.append(int(text))
        number = max(int(time.time()), max(taken, default=0) + 1)
        if not is_number(str(number)):
            raise ServingDirectoryError(
                f"{str(self.serving_dir)!r} has version {max(taken)}, above which there is no number for another one: "
                f"give that folder another name, or remove it, and remove {str(last)!r}; nothing was released"
            )
        write_text(last, str(number))
        return number

    def move(self, folder: Path, target: Path) -> None:
        """Moves a version's folder to `target` below the serving directory; see `move_folder`."""
        self.announce_move(int(target.name))
        move_folder(folder, target)

    def announce_move(self, number: int) -> None:
        """Records the version that moves next: after a kill, the next change completes or undoes the move."""
        write_text(self.workshop / _MOVING_FILE, str(number))

    def remove(self, folder: Path) -> None:
        """Removes a version's folder, for all readers at one instant."""
        aside = self.workshop / f"removed-{secrets.token_hex(4)}"
        try:
            folder.rename(aside)
        except OSError:
            remove_folder(folder)
        else:
            shutil.rmtree(aside)
        sync_folder(folder.parent)


@contextmanager
def changing(
    serving_dir: Path, after_failure: str, patience: float = _PATIENCE, mirrors: bool = False
) -> Iterator[Change]:
    """Keeps other changes out, also on other machines if the file system shares locks.

    Args:
        serving_dir: Created if missing.
        after_failure: Says, in the error, how the directory stands after a failure.
        patience: Seconds to wait for another change.
        mirrors: Whether this makes a mirror what its source is. Any other change of a mirror would not last.

    Raises ServingDirectoryError if another change does not end, the file system refuses to write, or this is a mirror.
    """
    if not mirrors and (serving_dir / MIRROR_FILE).exists():
        raise ServingDirectoryError(
            f"{str(serving_dir)!r} is a mirror of a bucket, which takes other changes back: {after_failure}; change "
            f"the serving directory that fills the bucket, or remove {MIRROR_FILE!r} here and mirror no longer"
        )
    try:
        serving_dir.mkdir(parents=True, exist_ok=True)
        with open(serving_dir / LOCK_FILE, "a", opener=_open_at_once) as lock:
            _wait_for(lock, serving_dir, patience)
            _remove_leftovers(serving_dir)
            workshop = serving_dir / UNFINISHED_FOLDER / f"{_this_kernel()}-{os.getpid()}-{secrets.token_hex(4)}"
            workshop.mkdir(parents=True)
            try:
                yield Change(serving_dir, workshop)
            finally:
                shutil.rmtree(workshop, ignore_errors=True)
    except OSError as error:
        raise ServingDirectoryError(_describe(error, serving_dir, after_failure)) from error


def _describe(error: OSError, serving_dir: Path, after_failure: str) -> str:
    advice = {
        errno.ENOSPC: "make room there",
        errno.EDQUOT: "make room there, or have the quota raised",
        errno.EFBIG: "raise the limit on the size of files",
        errno.EROFS: "it is mounted read-only: choose another one, or mount it to be written",
        errno.EACCES: "give this user the right to write there",
        errno.EPERM: "give this user the right to write there",
        errno.ENOTDIR: "choose a folder",
    }.get(error.errno or 0, "see to it")
    file = f" ({error.filename})" if error.filename else ""
    return (
        f"cannot write to the serving directory {str(serving_dir)!r}: {error.strerror or error}{file}; "
        f"{after_failure}: {advice}, and try again"
    )


def _open_at_once(path: str, flags: int) -> int:
    """A FIFO would block."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def _wait_for(lock: IO[str], serving_dir: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            if not lock_file(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
                log.warning("the file system of %r has no locks: let no two changes of it go on at once", serving_dir)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise ServingDirectoryError(
                    f"another push, approval or rollback has been changing {str(serving_dir)!r} for more than "
                    f"{patience:g} s: see whether it hangs, and try again"
                ) from None
            time.sleep(0.05)


def _remove_leftovers(serving_dir: Path) -> None:
    """Removes the leftovers of killed changes on this machine, whose lock we hold."""
    parent = serving_dir / UNFINISHED_FOLDER
    for workshop in list(parent.iterdir()) if parent.is_dir() else []:
        try:
            idle = time.time() - workshop.stat().st_mtime
        except FileNotFoundError:  # Another machine's, which has just ended.
            continue
        # Another machine's lock may not reach this one, but no push takes a day.
        if workshop.name.startswith(_this_kernel()) or idle > _DAY:
            _end_move(serving_dir, workshop)
            shutil.rmtree(workshop)


def _end_move(serving_dir: Path, workshop: Path) -> None:
    """Leaves a half-moved version in one place, with a record that agrees."""
    try:
        number = int((workshop / _MOVING_FILE).read_text())
    # Another program's file, or a disk's fault, announces nothing.
    except (FileNotFoundError, ValueError):
        return
    folders = {state: folder_in(serving_dir, number, state) for state in PLACES}
    there = [state for state, folder in folders.items() if folder.is_dir()]
    whole = {state: found for state in there if isinstance(found := examine(folders[state], number), Manifest)}
    if whole:
        state, manifest = list(whole.items())[-1]
        record = read_record(serving_dir, number)
        # A withdrawal counts from its record on.
        if record is not None and record.events[-1].state == State.WITHDRAWN:
            if State.WITHDRAWN not in whole:
                shutil.rmtree(folders[State.WITHDRAWN], ignore_errors=True)
                move_folder(folders[state], folders[State.WITHDRAWN])
                there.remove(state)
            state = State.WITHDRAWN
        elif record is not None and record.events[-1].state != state:
            add_event(serving_dir, manifest, state, "crackgate", f"a move of it was interrupted, and it is {state}")
        superfluous = [each for each in there if each != state]
    else:
        # A partial copy of a new version; a partial copy of an old one would have its whole beside it.
        superfluous = there if len(there) == 1 and State.WITHDRAWN not in there else []
    for each in superfluous:
        remove_folder(folders[each])


def _this_kernel() -> str:
    """Names the running kernel: equal in all containers of a machine, new after a restart."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
