"""Which versions there are, and which one is in use. Nothing here writes, and nobody has to wait for a push."""

from dataclasses import dataclass, field
from pathlib import Path

from crackgate.releases.manifest import Manifest, ManifestError, read_manifest
from crackgate.releases.records import WITHDRAWN_FOLDER, Event, State, read_records

# TensorFlow Serving reads folder names as 64-bit integers and passes over what is none.
_NUMBERS = 2**63


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
        number: Newer is higher.
        folder: Where it is; of a version that was withdrawn and then deleted, where it would be.
        state: Where it stands.
        manifest: None when it is incomplete or deleted.
        problem: Why it is incomplete, in a sentence; "" when it is not.
        events: Its withdrawals and reinstatements.
    """

    number: int
    folder: Path
    state: State
    manifest: Manifest | None = None
    problem: str = ""
    events: list[Event] = field(default_factory=list)


def current_version(serving_dir: Path) -> Path | None:
    """Returns the folder of the version in use: the highest complete one that is not withdrawn; None without one.

    A version in `serving_dir` is there as a whole or not at all; what has no manifest, or lacks a file that it names,
    is passed over. Asking takes a few system calls.
    """
    for number in sorted(numbered_folders(serving_dir), reverse=True):
        if isinstance(examine(serving_dir / str(number), number), Manifest):
            return serving_dir / str(number)
    return None


def list_versions(serving_dir: Path) -> list[Version]:
    """Returns all versions, withdrawn and incomplete ones included, the oldest first.

    Raises:
        ManifestError: The record of a withdrawal cannot be read.
    """
    records = read_records(serving_dir)
    withdrawn = serving_dir / WITHDRAWN_FOLDER
    found: dict[int, Version] = {}
    for number, record in records.items():
        # It may have been deleted since, and must not be released again for that.
        if record.events[-1].state == State.WITHDRAWN:
            found[number] = Version(number, withdrawn / str(number), State.WITHDRAWN, events=record.events)
    for parent, state in ((withdrawn, State.WITHDRAWN), (serving_dir, State.RELEASED)):
        for number in numbered_folders(parent):
            version = _read_version(parent / str(number), number, state)
            # Half a copy in one place does not count beside the whole in the other.
            if version is not None and (version.manifest or number not in found):
                found[number] = version
    for number in found.keys() & records.keys():
        found[number] = Version(**{**vars(found[number]), "events": records[number].events})
    return [found[number] for number in sorted(found)]


def find_version(serving_dir: Path, number: int) -> Version | None:
    """Returns one version; None when nothing is known of it."""
    return next((version for version in list_versions(serving_dir) if version.number == number), None)


def find_withdrawn_model(serving_dir: Path, model_digest: str) -> Version | None:
    """Returns the latest version that is this model, by `Manifest.model_digest`, if all such are withdrawn.

    Raises:
        ManifestError: The record of a withdrawal cannot be read.
    """
    records = {number for number, each in read_records(serving_dir).items() if each.model_digest == model_digest}
    same = [
        version
        for version in list_versions(serving_dir)
        if version.number in records or (version.manifest and version.manifest.model_digest == model_digest)
    ]
    if not same or any(version.state != State.WITHDRAWN for version in same):
        return None
    return same[-1]


def examine(folder: Path, number: int) -> Manifest | str:
    """Returns the manifest of a complete version, or why it is not complete, in a sentence.

    Contents are not read: see `verify`.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return str(error)
    if manifest.version != number:
        return f"the manifest in {str(folder)!r} is that of version {manifest.version}"
    return _find_missing(folder, manifest) or manifest


def numbered_folders(folder: Path) -> list[int]:
    """Numbers of the folders that TensorFlow Serving would take for versions, complete or not, in no order."""
    try:
        names = [path.name for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [int(name) for name in names if str(int(name)) == name and int(name) < _NUMBERS]


def _read_version(folder: Path, number: int, state: State) -> Version | None:
    found = examine(folder, number)
    if isinstance(found, Manifest):
        return Version(number, folder, state, found)
    if not folder.is_dir():  # It was removed or withdrawn meanwhile.
        return None
    return Version(number, folder, State.INCOMPLETE, problem=found)


def _find_missing(folder: Path, manifest: Manifest) -> str:
    """Sizes tell a copy that is still going on, at the price of one system call a file."""
    for name, entry in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            return f"{str(folder / name)!r}, which the manifest names, cannot be read: {error.strerror}"
        if size != entry.bytes:
            return f"{str(folder / name)!r} has {size} bytes, and {entry.bytes} in the manifest"
    return ""
