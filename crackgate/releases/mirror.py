"""The versions of a serving directory in a bucket, and from there in serving directories elsewhere.

    s3://models/crackgate/
    ├── 1795374861/     as in the serving directory; manifest.json comes last, and goes first
    └── .mirror-of      names the serving directory, which has the same name in .mirror-id

Released versions are mirrored, staged ones and records are not. A version that was withdrawn or removed goes from the
bucket, and then from the mirrors. A version without its manifest is incomplete to every reader.
"""

import errno
import secrets
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from crackgate.atomic_files import sync_tree, write_text
from crackgate.contracts.model_files import MANIFEST_FILE, SIGNATURE_FILE
from crackgate.images.rejection import RejectedImageError
from crackgate.releases.change import MIRROR_FILE, Change, changing
from crackgate.releases.durable_files import LAST_FILES
from crackgate.releases.manifest import MOST_MANIFEST_BYTES, Manifest, ManifestError, read_manifest
from crackgate.releases.records import State
from crackgate.releases.retention import held
from crackgate.releases.signatures import PublicKey, SignatureError, check_signature, recorded_key
from crackgate.releases.verification import verify
from crackgate.releases.versions import is_number, numbered_folders, versions_newest_first
from crackgate.storage.object_store import list_objects, read_object, remove_object, write_object

_ID_FILE = ".mirror-id"
_MOST_ID_BYTES = 64
_MOST_SIGNATURE_BYTES = 4096
# A name of a file and of a folder, or one that is too long.
_IMPOSSIBLE_NAMES = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL}


class MirrorError(Exception):
    """The place holds something else than this mirror; the message says what to do. No version was changed."""


class _RefusedError(Exception):
    """A version that is not taken; the message says why."""


class _WithdrawnError(Exception):
    """A version that has gone from the bucket since it was listed."""


@dataclass
class Mirrored:
    """The outcome of a pass: numbers of versions, and a sentence for each version that was refused."""

    added: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def upload(serving_dir: Path, url: str, public_key: PublicKey | None = None) -> Mirrored:
    """Makes the objects below `url` the released versions of a serving directory. The next pass completes a killed one.

    Each version is verified before it is sent, the newest first; see `verify` for the key.

    Raises:
        MirrorError: There are other objects below `url`.
        StorageError: The store cannot be used, or did not come back within two minutes.
    """
    objects: dict[str, list[str]] = defaultdict(list)
    for stored in list_objects(url):
        objects[stored.path.partition("/")[0]].append(stored.path)
    if not objects and not numbered_folders(serving_dir):
        # Before the first release, and where a volume is not mounted.
        return Mirrored()
    _claim(serving_dir, url, set(objects))
    done, kept = Mirrored(), set()
    for version in versions_newest_first(serving_dir):
        if version.state == State.WITHDRAWN:
            continue
        name = str(version.number)
        # A version that cannot be read for a moment was not withdrawn.
        kept.add(name)
        if version.manifest is None or f"{name}/{MANIFEST_FILE}" in objects.get(name, []):
            continue
        try:
            with held(version.folder):
                problems = verify(version.folder, public_key, version.number).problems
                if not problems:
                    _send(version.folder, version.manifest, f"{url}/{name}")
        except FileNotFoundError:
            # It was withdrawn or removed meanwhile; what was sent of it goes with the next pass.
            continue
        except OSError as error:
            problems = [f"{error.filename!r} cannot be read: {error.strerror}"]
        if problems:
            done.problems.append(f"version {name} was not sent: {'; '.join(problems)}")
        else:
            done.added.append(version.number)
    for name in sorted(filter(is_number, objects.keys() - kept)):
        for path in sorted(objects[name], key=lambda path: _order(path.partition("/")[2]), reverse=True):
            remove_object(f"{url}/{path}")
        done.removed.append(int(name))
    return done


def download(url: str, serving_dir: Path, public_key: PublicKey | None = None) -> Mirrored:
    """Makes the released versions of a serving directory those of a bucket that `upload` filled.

    A version is moved there when it is whole and verified: its bytes, and its signature where a key is given or
    recorded in the serving directory.

    Raises:
        MirrorError: `url` is no mirror, or the serving directory one of something else.
        StorageError: As `upload`.
        ServingDirectoryError: The serving directory cannot be written.
        KeyFileError: The recorded key cannot be used.
    """
    key = public_key or recorded_key(serving_dir)
    if MIRROR_FILE not in {stored.path for stored in list_objects(url)}:
        raise MirrorError(f"{url!r} is no mirror: fill it by 'crackgate mirror --to {url}'")
    identity = _identity_at(url)
    done = Mirrored()
    with changing(serving_dir, "versions that were moved there stay", mirrors=True) as change:
        _adopt(serving_dir, url, identity)
        # Within the lock: another look may have changed what is here.
        wanted = {int(name) for stored in list_objects(url) if (name := _complete_version(stored.path))}
        here = {version.number: version.manifest is not None for version in versions_newest_first(serving_dir)}
        for number in sorted(here.keys() - wanted):
            change.remove(serving_dir / str(number))
            done.removed.append(number)
        for number in sorted((number for number in wanted if not here.get(number)), reverse=True):
            copy = change.workshop / str(number)
            try:
                _receive(f"{url}/{number}", copy, key, number)
            except _WithdrawnError:
                pass
            except _RefusedError as error:
                done.problems.append(f"version {number} was not taken: {error}")
            else:
                _replace(change, copy, serving_dir / str(number), number in here)
                done.added.append(number)
            shutil.rmtree(copy, ignore_errors=True)
    return done


def _claim(serving_dir: Path, url: str, found: set[str]) -> None:
    """Puts the serving directory's id beside the versions, where nothing is yet."""
    file = serving_dir / _ID_FILE
    identity = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if not found:
        identity = identity or secrets.token_hex(16)
        write_text(file, f"{identity}\n")
        write_object(f"{url}/{MIRROR_FILE}", f"{identity}\n".encode())
        return
    if MIRROR_FILE in found and _identity_at(url) == identity:
        return
    other = "the mirror of another serving directory" if MIRROR_FILE in found else "no mirror"
    raise MirrorError(
        f"{url!r} is {other}, and versions that are not in {str(serving_dir)!r} would be removed there: give a prefix "
        "without objects"
    )


def _identity_at(url: str) -> str:
    """The id of the serving directory that fills a bucket; never empty."""
    try:
        identity = read_object(f"{url}/{MIRROR_FILE}", _MOST_ID_BYTES).decode(errors="replace").strip()
    except (OSError, RejectedImageError) as error:
        raise MirrorError(f"{url}/{MIRROR_FILE}, which says whose mirror it is, cannot be read: {error}") from None
    if not identity:
        raise MirrorError(f"{url}/{MIRROR_FILE}, which says whose mirror it is, is empty: give another prefix")
    return identity


def _adopt(serving_dir: Path, url: str, identity: str) -> None:
    """Makes an empty serving directory the mirror."""
    file = serving_dir / MIRROR_FILE
    ours = file.read_text(encoding="utf-8").strip() if file.is_file() else None
    if ours == identity:
        return
    if ours is not None or numbered_folders(serving_dir):
        what = "has versions of its own" if ours is None else "is the mirror of something else"
        raise MirrorError(
            f"{str(serving_dir)!r} {what}, and those that are not in {url!r} would be removed: give an empty folder as "
            "--serving"
        )
    write_text(file, f"{identity}\n")


def _complete_version(path: str) -> str:
    """The number of the version whose manifest an object is; else ""."""
    number, _, name = path.partition("/")
    return number if name == str(MANIFEST_FILE) and is_number(number) else ""


def _order(name: str) -> int:
    """Files of a version in the order in which they are sent."""
    return LAST_FILES.index(name) + 1 if name in LAST_FILES else 0


def _send(folder: Path, manifest: Manifest, url: str) -> None:
    names = [*manifest.files, str(MANIFEST_FILE), *([str(SIGNATURE_FILE)] if manifest.signing_key else [])]
    for name in sorted(names, key=_order):
        write_object(f"{url}/{name}", (folder / name).read_bytes())


def _receive(url: str, copy: Path, key: PublicKey | None, number: int) -> None:
    """Fetches a version into a new folder and verifies it; raises _RefusedError, or _WithdrawnError if it has gone."""
    copy.mkdir()
    if not _fetch(url, str(MANIFEST_FILE), copy, MOST_MANIFEST_BYTES):
        raise _WithdrawnError
    try:
        manifest = read_manifest(copy)
        if manifest.signing_key:
            _fetch_named(url, str(SIGNATURE_FILE), copy, _MOST_SIGNATURE_BYTES)
        # First: a manifest of somebody else's may name any number of bytes.
        check_signature(copy, manifest, key)
    except (ManifestError, SignatureError) as error:
        raise _RefusedError(str(error)) from None
    for name, entry in manifest.files.items():
        _fetch_named(url, name, copy, entry.bytes)
    sync_tree(copy)
    if problems := verify(copy, key, number).problems:
        raise _RefusedError("; ".join(problems))


def _fetch_named(url: str, name: str, copy: Path, max_bytes: int) -> None:
    """Fetches an object that the manifest names."""
    if _fetch(url, name, copy, max_bytes):
        return
    # The manifest goes first.
    if not _fetch(url, str(MANIFEST_FILE), copy, MOST_MANIFEST_BYTES):
        raise _WithdrawnError
    raise _RefusedError(f"{name!r}, which {MANIFEST_FILE} names, is not in the bucket")


def _fetch(url: str, name: str, copy: Path, max_bytes: int) -> bool:
    """Whether the object is there; it is then in the folder."""
    try:
        data = read_object(f"{url}/{name}", max_bytes)
    except FileNotFoundError:
        return False
    except RejectedImageError as error:
        raise _RefusedError(f"{name!r} is larger than it may be: {error}") from None
    except PermissionError as error:
        raise _RefusedError(f"{name!r}: {error.strerror}") from None
    try:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    except OSError as error:
        if error.errno in _IMPOSSIBLE_NAMES:
            raise _RefusedError(f"{MANIFEST_FILE} names {name!r}, which no folder can hold beside the others") from None
        raise
    return True


def _replace(change: Change, copy: Path, target: Path, is_there: bool) -> None:
    """Moves a version to its place; an incomplete one there goes."""
    if is_there:
        change.remove(target)
    change.move(copy, target)
