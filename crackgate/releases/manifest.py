"""`manifest.json`, the last file of a push: a version's files and its lineage."""

import hashlib
import importlib.metadata
import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from crackgate.contracts.evaluation import MetricValue
from crackgate.contracts.model_files import MANIFEST_FILE, MODEL_VERSION_FILE, SIGNATURE_FILE, STATISTICS_FOLDER
from crackgate.local_time import Moment
from crackgate.regular_file import open_regular
from crackgate.releases.durable_files import raise_error

# A manifest has some kilobytes.
MOST_MANIFEST_BYTES = 16 * 2**20


class ManifestError(Exception):
    """The manifest is missing or unreadable."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Record):
    """One file: its size in bytes and its SHA-256, 64 hexadecimal digits."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Lineage(_Record):
    """The origin of a version.

    Attributes:
        execution: Id of the push in ML Metadata; 0 without a pipeline.
        artifacts: Ids in ML Metadata of the push's inputs ("model", "model_blessing", ...), by name.
        data_fingerprint: Fingerprint of the images; "" when unknown.
    """

    pipeline: str
    run_id: str
    execution: int = 0
    artifacts: dict[str, int] = Field(default_factory=dict)
    data_fingerprint: str = ""


class Manifest(_Record):
    """The content of `manifest.json`, with metrics on all test images.

    Attributes:
        created: UTC, ISO 8601.
        crackgate_version: The version of the program that released it.
        model_digest: SHA-256 over the files of the judged model, except for the version's number.
        differs_from_judged: Files that the push rewrote; all others equal the judged model's, but for the statistics,
            which the push added.
        config_digest: SHA-256 of the configuration that decides about the model; "" when unknown.
        identity: The model's (see `crackgate.releases.identity`); None when unknown, as in version 0.1.0.
        staged_against: The version in production with which this one was compared before it was staged for approval; 0
            where there was none. None for a version that went into production at once.
        signing_key: Fingerprint of the public key; None for an unsigned release.
        files: All other files of the folder by path, except for the signature.
        own_digest: SHA-256 of all other fields; it reveals an edit, but not a new manifest.
    """

    version: int = Field(ge=0)
    created: Moment
    crackgate_version: str
    model_digest: str
    differs_from_judged: list[str]
    metrics: list[MetricValue]
    lineage: Lineage
    config_digest: str
    identity: str | None = None
    staged_against: int | None = None
    signing_key: str | None
    files: dict[str, FileEntry]
    own_digest: str = ""

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
                raise ValueError(f"{name!r} is no path inside the version's folder")
        return files

    def digest_content(self) -> str:
        """SHA-256 of all other fields, to compare with `own_digest`."""
        content = self.model_dump(mode="json", exclude={"own_digest", *self._absent()})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def render(self) -> bytes:
        """The content of the file."""
        return self.model_dump_json(indent=2, exclude=self._absent()).encode() + b"\n"

    def _absent(self) -> set[str]:
        """Fields that the manifests of older versions of crackgate do not have, where they say nothing."""
        return {name for name in ("identity", "staged_against") if getattr(self, name) is None}


class Release(_Record):
    """The fields of `Manifest` that do not follow from the files."""

    lineage: Lineage
    metrics: list[MetricValue] = Field(default_factory=list)
    config_digest: str = ""
    identity: str | None = None


def read_manifest(folder: Path) -> Manifest:
    """Reads a version's manifest alone; raises ManifestError if it is missing or unreadable."""
    file = folder / MANIFEST_FILE
    try:
        with open_regular(file) as content:
            return Manifest.model_validate_json(content.read(MOST_MANIFEST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        raise ManifestError(f"{str(folder)!r} has no {MANIFEST_FILE}: it is no complete release") from None
    except OSError as error:
        raise ManifestError(f"cannot read {str(file)!r}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ManifestError(
            f"{str(file)!r} is not as crackgate writes it: {place + ': ' if place else ''}{first['msg']}"
        ) from None


def build_manifest(
    version: int,
    files: dict[str, FileEntry],
    model_digest: str,
    release: Release,
    signing_key: str | None,
    staged_against: int | None = None,
) -> Manifest:
    """Builds a manifest, created now, from fields of `Manifest`."""
    manifest = Manifest(
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        crackgate_version=importlib.metadata.version("crackgate"),
        model_digest=model_digest,
        differs_from_judged=[name for name in files if name == MODEL_VERSION_FILE.as_posix()],
        metrics=release.metrics,
        lineage=release.lineage,
        config_digest=release.config_digest,
        identity=release.identity,
        staged_against=staged_against,
        signing_key=signing_key,
        files=files,
    )
    return manifest.model_copy(update={"own_digest": manifest.digest_content()})


def list_files(folder: Path) -> dict[str, os.stat_result]:
    """All that lies below `folder` and is no folder, by relative path, except for the manifest and its signature.

    Symbolic links are not followed. Raises OSError for a folder that cannot be listed.
    """
    found = {}
    for parent, folders, files in os.walk(folder, onerror=raise_error):
        for path in (Path(parent, name) for name in [*folders, *files]):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                found[path.relative_to(folder).as_posix()] = status
    return {name: found[name] for name in sorted(found.keys() - {str(MANIFEST_FILE), str(SIGNATURE_FILE)})}


def measure_file(file: Path) -> FileEntry:
    """Reads a regular file for its size and SHA-256; raises OSError for anything else."""
    with open_regular(file) as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return FileEntry(bytes=content.tell(), sha256=digest)


def digest_model(files: Mapping[str, FileEntry]) -> str:
    """SHA-256 over names and contents of a model's files, except for its version's number and statistics."""
    digest = hashlib.sha256()
    for name, entry in sorted(files.items()):
        if name != MODEL_VERSION_FILE.as_posix() and not PurePosixPath(name).is_relative_to(STATISTICS_FOLDER):
            digest.update(f"{name}\0{entry.sha256}\n".encode())
    return digest.hexdigest()


def measure_model(folder: Path) -> str:
    """Digest of a model in any folder, to compare with `Manifest.model_digest`."""
    return digest_model({name: measure_file(folder / name) for name in list_files(folder)})
