"""The versions of a serving directory. Readers write nothing and wait for no push."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from crackgate.plural import counted
from crackgate.regular_file import other_kind
from crackgate.releases.identity import recorded_identity
from crackgate.releases.manifest import Manifest, ManifestError, read_manifest
from crackgate.releases.records import (
    STAGED_FOLDER,
    WITHDRAWN_FOLDER,
    Event,
    State,
    WithdrawalRecord,
    folder_in,
    read_record,
    read_records,
)

# TensorFlow Serving reads folder names as 64-bit integers and passes over all others.
_NUMBERS = 2**63
# A version whose move was interrupted may be whole in two places: the last one counts.
PLACES = (State.STAGED, State.WITHDRAWN, State.RELEASED)


@dataclass(frozen=True)
class Version:
    """One version, with its withdrawals, reinstatements and approvals in order of time.

    Attributes:
        folder: Its path, even after a withdrawn version was deleted.
        manifest: None for an incomplete or deleted version.
        problem: A sentence that says why it is incomplete, or that a withdrawn one lies among others; or "".
    """

    number: int
    folder: Path
    state: State
    manifest: Manifest | None = None
    problem: str = ""
    events: list[Event] = field(default_factory=list)


def production_version(serving_dir: Path) -> Path | None:
    """Returns the folder of the newest complete version that is not withdrawn or staged, if any; see `examine`."""
    return next((version.folder for version in versions_newest_first(serving_dir) if version.manifest), None)


def production_number(serving_dir: Path) -> int:
    """Returns the number of the version in production; 0 without one."""
    folder = production_version(serving_dir)
    return int(folder.name) if folder else 0


def staged_version(serving_dir: Path) -> Path | None:
    """Returns the folder of the newest complete version that waits for approval, if any."""
    staged = versions_newest_first(serving_dir, State.STAGED)
    return next((version.folder for version in staged if version.manifest), None)


# Names of versions, as labels of TensorFlow Serving's are. They move; a version's number does not.
ALIASES = {"production": production_version, "staged": staged_version}


def versions_newest_first(serving_dir: Path, state: State = State.RELEASED) -> Iterator[Version]:
    """Versions in a state, complete or not, without their events; each is read when it is asked for.

    A withdrawn one that lies among them has no manifest here, like an incomplete one.
    """
    for number in sorted(numbered_folders(folder_in(serving_dir, 0, state).parent), reverse=True):
        if version := _read_version(serving_dir, number, state):
            yield version if version.state == state else replace(version, manifest=None)


def list_versions(serving_dir: Path) -> list[Version]:
    """Returns all versions, the oldest first, including staged, withdrawn and incomplete ones.

    Raises ManifestError if the record of a withdrawal is unreadable.
    """
    records = read_records(serving_dir)
    parents = (serving_dir, serving_dir / STAGED_FOLDER, serving_dir / WITHDRAWN_FOLDER)
    numbers = records.keys() | {number for parent in parents for number in numbered_folders(parent)}
    found = (_find(serving_dir, number, records.get(number)) for number in sorted(numbers))
    return [version for version in found if version is not None]


def find_version(serving_dir: Path, number: int) -> Version | None:
    """Returns one version; None if there never was one of that number; raises ManifestError as `list_versions` does."""
    return _find(serving_dir, number, read_record(serving_dir, number))


def _find(serving_dir: Path, number: int, record: WithdrawalRecord | None) -> Version | None:
    there = [version for state in PLACES if (version := _read_version(serving_dir, number, state))]
    # A partial copy in one folder does not count beside the whole in another; a whole one with a problem is misplaced.
    whole = sorted((version for version in reversed(there) if version.manifest), key=lambda each: each.problem != "")
    is_withdrawn = record is not None and record.events[-1].state == State.WITHDRAWN
    # The folder may be deleted, but its model must not be released again.
    gone = [Version(number, folder_in(serving_dir, number, State.WITHDRAWN), State.WITHDRAWN)] if is_withdrawn else []
    found = next(iter([*whole, *gone, *there]), None)
    if found is None:
        return None
    problem = found.problem or next((version.problem for version in whole if version.problem), "")
    return replace(found, problem=problem, events=record.events if record else [])


def find_withdrawn_model(serving_dir: Path, model_digest: str, identity: str | None = None) -> Version | None:
    """Returns the newest withdrawn version of a model; None if there is none, or one of that model is in production.

    Args:
        serving_dir: May be missing.
        model_digest: The model's `Manifest.model_digest`.
        identity: See `identify`; without it, only equal files count.

    Raises ManifestError as `list_versions` does.
    """
    if (folder := production_version(serving_dir)) and is_model(folder, read_manifest(folder), model_digest, identity):
        return None
    records = read_records(serving_dir)
    for number in sorted(records.keys() | set(numbered_folders(serving_dir / WITHDRAWN_FOLDER)), reverse=True):
        record = records.get(number)
        version = _find(serving_dir, number, record)
        if version is None or version.state != State.WITHDRAWN:
            continue
        if record and (record.model_digest == model_digest or (identity and record.identity == identity)):
            return version
        if version.manifest and is_model(version.folder, version.manifest, model_digest, identity):
            return version
    return None


def is_model(folder: Path, manifest: Manifest, model_digest: str, identity: str | None) -> bool:
    """Whether a version is this model, by its files or by its identity, which old versions' files tell."""
    if manifest.model_digest == model_digest:
        return True
    return identity is not None and recorded_identity(folder, manifest) == identity


def examine(folder: Path, number: int) -> Manifest | str:
    """Returns a complete version's manifest, or a sentence that says why it is incomplete; it reads no contents."""
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return str(error)
    if folder.is_symlink():
        return f"{str(folder)!r} is a symbolic link: a version is a folder of its own"
    if manifest.version != number:
        return f"the manifest in {str(folder)!r} is that of version {manifest.version}"
    return _find_missing(folder, manifest) or manifest


def numbered_folders(folder: Path) -> list[int]:
    """Numbers of the folders that TensorFlow Serving takes for versions, complete or not, in no order."""
    try:
        return [int(path.name) for path in folder.iterdir() if is_number(path.name) and path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_number(name: str) -> bool:
    """Whether TensorFlow Serving takes a folder of that name for a version."""
    return name.isdecimal() and str(int(name)) == name and int(name) < _NUMBERS


def _read_version(serving_dir: Path, number: int, state: State) -> Version | None:
    folder = folder_in(serving_dir, number, state)
    found = examine(folder, number)
    if isinstance(found, Manifest):
        # A copy of it, as from a backup, puts nothing back into production.
        if state != State.WITHDRAWN and (sentence := _find_withdrawal(serving_dir, number, folder)):
            return Version(number, folder, State.WITHDRAWN, found, sentence)
        return Version(number, folder, state, found)
    if not folder.is_dir():  # It was removed or withdrawn meanwhile.
        return None
    return Version(number, folder, State.INCOMPLETE, problem=found)


def _find_withdrawal(serving_dir: Path, number: int, folder: Path) -> str:
    try:
        record = read_record(serving_dir, number)
    # Whatever changes its state says that.
    except ManifestError:
        return ""
    if record is None or record.events[-1].state != State.WITHDRAWN:
        return ""
    event = record.events[-1]
    is_copy = folder_in(serving_dir, number, State.WITHDRAWN).exists()
    return (
        f"{str(folder)!r} is passed over, since {event.who} withdrew version {number} on {event.when} ({event.why}): "
        f"{'remove that copy; ' if is_copy else ''}'crackgate rollback --to {number}' reinstates the version"
    )


def _find_missing(folder: Path, manifest: Manifest) -> str:
    """Finds missing files, unfinished copies by their sizes, and what is no regular file in a folder."""
    inside = {parent for name in manifest.files for parent in PurePosixPath(name).parents}
    try:
        for name in sorted(map(str, inside)):
            if (folder / name).is_symlink() and name != ".":
                return f"{str(folder / name)!r} is a symbolic link, not a folder"
        for name, entry in manifest.files.items():
            status = (folder / name).lstat()
            if kind := other_kind(status):
                return f"{str(folder / name)!r} is {kind}, not a regular file"
            if status.st_size != entry.bytes:
                size = counted(status.st_size, "byte")
                return f"{str(folder / name)!r} has {size}, and {entry.bytes:,} in the manifest"
    except OSError as error:
        return f"{str(error.filename)!r}, which the manifest names, cannot be read: {error.strerror}"
    return ""
