"""Records of withdrawals, reinstatements and approvals: `withdrawn/<version>.json`, since folders must not change."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from crackgate.atomic_files import write_text
from crackgate.local_time import Moment
from crackgate.regular_file import open_regular
from crackgate.releases.manifest import Manifest, ManifestError

WITHDRAWN_FOLDER = "withdrawn"
STAGED_FOLDER = "staged"
# A record has some kilobytes.
_MOST_BYTES = 16 * 2**20


class State(StrEnum):
    """The state of a version."""

    RELEASED = "released"
    # It waits for a person's approval.
    STAGED = "staged"
    WITHDRAWN = "withdrawn"
    # The manifest is missing, or a file that it names.
    INCOMPLETE = "incomplete"


class Event(BaseModel):
    """A withdrawal, reinstatement or approval: when (UTC, ISO 8601), by whom (user@host), and why."""

    state: State
    when: Moment
    who: str
    why: str


class WithdrawalRecord(BaseModel):
    """The content of `withdrawn/<version>.json`, which outlives the version's folder.

    `model_digest` and `identity` are the `Manifest`'s; the same model is not released again. `events` are in order of
    time.
    """

    version: int
    model_digest: str
    identity: str | None = None
    events: list[Event]


def folder_in(serving_dir: Path, number: int, state: State) -> Path:
    """The folder of a version that is released, staged or withdrawn."""
    inside = {State.RELEASED: "", State.STAGED: STAGED_FOLDER, State.WITHDRAWN: WITHDRAWN_FOLDER}
    return serving_dir / inside[state] / str(number)


def read_record(serving_dir: Path, number: int) -> WithdrawalRecord | None:
    """Reads what befell a version; None if nothing did. Raises ManifestError for an unreadable record."""
    file = _file(serving_dir, number)
    try:
        with open_regular(file, follow_links=True) as content:
            record = WithdrawalRecord.model_validate_json(content.read(_MOST_BYTES))
        if record.version != number:
            raise ValueError(f"it is that of version {record.version}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Pydantic raises ValueErrors, too.
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"cannot read {str(file)!r}, which says why version {number} was withdrawn or approved: "
            f"{str(error).splitlines()[0]}; put a good copy back"
        ) from None
    return record if record.events else None


def read_records(serving_dir: Path) -> dict[int, WithdrawalRecord]:
    """Reads all records, by version; raises ManifestError for an unreadable one."""
    names = [file.stem for file in (serving_dir / WITHDRAWN_FOLDER).glob("*.json") if file.stem.isdecimal()]
    return {int(name): record for name in names if (record := read_record(serving_dir, int(name))) is not None}


def add_event(serving_dir: Path, manifest: Manifest, state: State, who: str, why: str) -> None:
    """Records an event now; raises ManifestError if the present record is unreadable."""
    earlier = read_record(serving_dir, manifest.version)
    event = Event(state=state, when=datetime.now(UTC).isoformat(timespec="seconds"), who=who, why=why)
    events = [*(earlier.events if earlier else []), event]
    record = WithdrawalRecord(
        version=manifest.version, model_digest=manifest.model_digest, identity=manifest.identity, events=events
    )
    (serving_dir / WITHDRAWN_FOLDER).mkdir(exist_ok=True)
    write_text(_file(serving_dir, manifest.version), record.model_dump_json(indent=2) + "\n")


def _file(serving_dir: Path, number: int) -> Path:
    return serving_dir / WITHDRAWN_FOLDER / f"{number}.json"
