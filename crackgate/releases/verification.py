"""Verification: whether a version is byte for byte as it was released."""

from dataclasses import dataclass
from pathlib import Path

from crackgate.contracts.model_files import MANIFEST_FILE, SIGNATURE_FILE
from crackgate.releases.manifest import Manifest, ManifestError, digest_model, file_names, measure_file, read_manifest
from crackgate.releases.signatures import PublicKey, SignatureError, check_signature


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
    """Reads every file of a version and compares it with the manifest; None accepts any key or number.

    Only a signature reveals a manifest that was made anew.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return Finding(folder, None, [str(error)], "there is no manifest that could be signed")
    problems = []
    if version is not None and manifest.version != version:
        problems.append(f"{MANIFEST_FILE} is that of version {manifest.version}, and this is version {version}")
    problems += _compare_files(folder, manifest)
    if manifest.digest_content() != manifest.own_digest:
        problems.append(f"{MANIFEST_FILE} was altered: it does not have its own digest")
    elif digest_model(manifest.files) != manifest.model_digest:
        problems.append(f"{MANIFEST_FILE} was made anew: its files are not those of the model that it says was judged")
    try:
        signature = check_signature(folder, manifest, public_key)
    except SignatureError as error:
        problems.append(str(error))
        signature = "refused"
    return Finding(folder, manifest, problems, signature)


def _compare_files(folder: Path, manifest: Manifest) -> list[str]:
    problems = []
    try:
        present = set(file_names(folder))
    except OSError as error:
        return [f"cannot list {str(folder)!r}: {error.strerror}"]
    for name, entry in sorted(manifest.files.items()):
        if name not in present:
            problems.append(f"{name} is missing")
            continue
        try:
            found = measure_file(folder / name)
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror}")
            continue
        if found.bytes != entry.bytes:
            problems.append(f"{name} has {found.bytes} bytes, and {entry.bytes} in the manifest")
        elif found != entry:
            problems.append(f"{name} was altered: its SHA-256 is {found.sha256}, and {entry.sha256} in the manifest")
    problems += [f"{name} was added: the manifest does not name it" for name in sorted(present - set(manifest.files))]
    if manifest.signing_key is None and (folder / SIGNATURE_FILE).exists():
        problems.append(f"{SIGNATURE_FILE} was added: the manifest says that the release is not signed")
    return problems
