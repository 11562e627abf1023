"""Verification: whether a version is byte for byte as it was released."""

import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crackgate.contracts.model_files import MANIFEST_FILE, SIGNATURE_FILE
from crackgate.plural import counted
from crackgate.regular_file import other_kind
from crackgate.releases.manifest import (
    FileEntry,
    Manifest,
    ManifestError,
    digest_model,
    list_files,
    measure_file,
    read_manifest,
)
from crackgate.releases.records import STAGED_FOLDER, WITHDRAWN_FOLDER
from crackgate.releases.signatures import (
    RECORDED_KEY_FILE,
    KeyFileError,
    PublicKey,
    SignatureError,
    check_signature,
    recorded_key,
)
from crackgate.releases.versions import is_number


class UntrustedVersionError(Exception):
    """A version under another number, without the required signature or altered since; the message says what to do."""


@dataclass(frozen=True)
class Finding:
    """The outcome of a verification, with a sentence for each problem and one about the signature.

    `manifest` is None if it is missing or unreadable.
    """

    folder: Path
    manifest: Manifest | None
    problems: list[str]
    signature: str

    @property
    def intact(self) -> bool:
        """Whether the version is as it was released."""
        return not self.problems


def verify(folder: Path, public_key: PublicKey | None = None, version: int | None = None) -> Finding:
    """Compares types and sizes of a version's files with the manifest, then reads every regular file for its digest.

    Only a signature reveals a manifest that was made anew.

    Args:
        folder: In a serving directory or anywhere else.
        public_key: The key that must have signed it; None: the one recorded in the serving directory, if any.
        version: The number that it must have; None: that of its folder's name, and any where the name is no number.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return Finding(folder, None, [str(error)], "there is no manifest that could be signed")
    problems = _find_other_number(folder, manifest, version)
    problems += find_altered(folder, manifest)
    if manifest.digest_content() != manifest.own_digest:
        problems.append(f"{MANIFEST_FILE} was altered: it does not have its own digest")
    elif digest_model(manifest.files) != manifest.model_digest:
        problems.append(f"{MANIFEST_FILE} was made anew: its files are not those of the model that it says was judged")
    try:
        signature = check_signature(folder, manifest, public_key or recorded_key(_serving_dir(folder)))
    except (SignatureError, KeyFileError) as error:
        problems.append(str(error))
        signature = "refused"
    return Finding(folder, manifest, problems, signature)


def find_altered(folder: Path, manifest: Manifest, among: Container[str] | None = None) -> list[str]:
    """Compares all files with a manifest, or those `among` some names: a sentence for each that differs."""
    try:
        found = list_files(folder)
    except OSError as error:
        return [f"cannot list {str(folder)!r}: {error.strerror}"]
    expected = manifest.files
    if among is not None:
        found = {name: status for name, status in found.items() if name in among}
        expected = {name: entry for name, entry in expected.items() if name in among}
    problems = [
        problem for name, entry in sorted(expected.items()) for problem in _compare_file(folder, name, entry, found)
    ]
    for name in sorted(found.keys() - expected.keys()):
        kind = other_kind(found[name])
        what = f"is {kind}, not a regular file" if kind else "was added: the manifest does not name it"
        problems.append(f"{_shown(name)} {what}")
    if manifest.signing_key is None and os.path.lexists(folder / SIGNATURE_FILE):
        problems.append(f"{SIGNATURE_FILE} was added: the manifest says that the release is not signed")
    return problems


def check_trusted(folder: Path, public_key: PublicKey | None = None, version: int | None = None) -> int | None:
    """Verifies a version that is going to be used; without a key, given or recorded, only its number is checked.

    Returns the number; None where no signature was checked. Raises UntrustedVersionError; see `verify` for the
    arguments.
    """
    key = required_key(folder, public_key)
    if key is None:
        _check_number(folder, version)
        return None
    finding = verify(folder, key, version)
    if problems := finding.problems:
        source = "the given public key" if public_key else f"{str(_serving_dir(folder) / RECORDED_KEY_FILE)!r}"
        raise UntrustedVersionError(
            f"{str(folder)!r} is refused, since {source} requires a signature: {'; '.join(problems)}; put a signed "
            "version into production by 'crackgate rollback', or release one anew with release.signing_key"
        )
    return finding.manifest.version if finding.manifest else None


def required_key(folder: Path, public_key: PublicKey | None = None) -> PublicKey | None:
    """The key that must have signed a version: the given one, else the one that its serving directory records, if any.

    Raises UntrustedVersionError for a recorded key that cannot be used.
    """
    try:
        return public_key or recorded_key(_serving_dir(folder))
    except KeyFileError as error:
        raise UntrustedVersionError(str(error)) from None


def _check_number(folder: Path, version: int | None) -> None:
    try:
        manifest = read_manifest(folder)
    except ManifestError:
        # It states no number. Models that were never released have no manifest.
        return
    for problem in _find_other_number(folder, manifest, version):
        raise UntrustedVersionError(
            f"{str(folder)!r} is refused: {problem}; name the folder {manifest.version}, or by no number at all"
        )


def _find_other_number(folder: Path, manifest: Manifest, version: int | None) -> list[str]:
    """See `verify` for `version`; a link may have any name."""
    name = folder.resolve().name
    wanted = int(name) if version is None and is_number(name) else version
    if wanted in (None, manifest.version):
        return []
    return [f"{MANIFEST_FILE} is that of version {manifest.version}, and this is version {wanted}"]


def _serving_dir(folder: Path) -> Path:
    """The serving directory of a version; some folder for a version that lies elsewhere."""
    parent = folder.resolve().parent
    if parent.name not in (STAGED_FOLDER, WITHDRAWN_FOLDER):
        return parent
    # A serving directory may itself be called so; a key inside such a folder does not replace the one above.
    own, above = (os.path.lexists(place / RECORDED_KEY_FILE) for place in (parent, parent.parent))
    return parent if own and not above else parent.parent


def _compare_file(folder: Path, name: str, entry: FileEntry, found: Mapping[str, os.stat_result]) -> Iterator[str]:
    """Says what differs; a file's content is read only where its type and size are right."""
    if name not in found:
        # A name may be too long for any file.
        is_folder = os.path.isdir(folder / name)
        yield f"{_shown(name)} is {'a folder, not a regular file' if is_folder else 'missing'}"
    elif kind := other_kind(found[name]):
        yield f"{_shown(name)} is {kind}, not a regular file"
    elif found[name].st_size != entry.bytes:
        yield f"{_shown(name)} has {counted(found[name].st_size, 'byte')}, and {entry.bytes:,} in the manifest"
    else:
        try:
            sha256 = measure_file(folder / name).sha256
        except OSError as error:
            yield f"{_shown(name)} cannot be read: {error.strerror}"
            return
        if sha256 != entry.sha256:
            yield f"{_shown(name)} was altered: its SHA-256 is {sha256}, and {entry.sha256} in the manifest"


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)
