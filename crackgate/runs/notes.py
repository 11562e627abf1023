"""People's words about a run: its name, tags and notes, in `runs/<run id>/notes.json`."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from crackgate.atomic_files import write_text
from crackgate.file_lock import lock_file
from crackgate.local_time import Moment
from crackgate.pages.shown_text import show
from crackgate.regular_file import open_regular

NOTES_FILE = "notes.json"
# Characters.
_LONGEST_LABEL, _LONGEST_NOTE = 100, 10_000


class NotesError(Exception):
    """Notes that cannot be read, or a name, tag or note that cannot be taken; the message says what to do."""


class Note(BaseModel):
    """A note: when (UTC, ISO 8601), by whom (user@host), and the text, printable characters alone."""

    when: Moment
    who: str
    text: str


class RunNotes(BaseModel):
    """The content of the file; the tags are different ones, in the order in which they were given."""

    name: str = ""
    tags: list[str] = Field(default_factory=list)
    notes: list[Note] = Field(default_factory=list)


def read_notes(folder: Path) -> RunNotes:
    """Reads the notes of a run by its folder; raises NotesError if they are unreadable."""
    file = folder / NOTES_FILE
    try:
        with open_regular(file, follow_links=True) as content:
            return RunNotes.model_validate_json(content.read())
    except FileNotFoundError:
        return RunNotes()
    except (OSError, ValidationError) as error:
        raise NotesError(
            f"cannot read {str(file)!r}: {str(error).splitlines()[0]}; put a good copy back, or remove it"
        ) from None


def name_run(name: str | None, tags: Iterable[str]) -> RunNotes:
    """The notes of a new run; raises NotesError for a name or tag that is empty or too long."""
    notes = RunNotes()
    if name is not None:
        notes.name = _checked("--name", name, _LONGEST_LABEL)
    notes.tags = list(dict.fromkeys(_checked("--tag", tag, _LONGEST_LABEL) for tag in tags))
    return notes


def write_notes(folder: Path, notes: RunNotes) -> None:
    """Writes the notes of a run, complete or not at all."""
    write_text(folder / NOTES_FILE, notes.model_dump_json(indent=2) + "\n")


def add_notes(
    folder: Path, who: str, name: str | None, tags: Iterable[str], without: Iterable[str], text: str | None
) -> RunNotes:
    """Names a run anew, adds tags and removes those `without`, adds a note, and returns all; None changes nothing.

    Raises NotesError for notes that are unreadable, or text that is empty or too long; OSError for a failed write.
    """
    added = name_run(name, tags)
    note = None if text is None else _checked("the note", text, _LONGEST_NOTE)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        notes = read_notes(folder)
        notes.name = added.name or notes.name
        # Characters that are not printable are kept written out.
        gone = {show(tag.strip()) for tag in without}
        if unknown := gone - set(notes.tags):
            raise NotesError(
                f"--untag: received {', '.join(sorted(map(repr, unknown)))}; the run has the tags: "
                f"{', '.join(map(repr, notes.tags)) or 'none'}"
            )
        notes.tags = [tag for tag in dict.fromkeys([*notes.tags, *added.tags]) if tag not in gone]
        if note is not None:
            notes.notes.append(Note(when=datetime.now(UTC).isoformat(timespec="seconds"), who=who, text=note))
        write_notes(folder, notes)
    return notes


def _checked(source: str, text: str, longest: int) -> str:
    kept = show(text.strip())
    if not 0 < len(kept) <= longest:
        raise NotesError(f"{source}: received {len(kept)} characters; 1 to {longest:,} are allowed")
    return kept


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps two people from writing at once, so that no note is lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_file(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
