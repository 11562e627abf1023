"""Publication: a model enters the serving directory as a whole or not at all."""

import shutil
from pathlib import Path

from crackgate.atomic_files import write_bytes, write_text
from crackgate.contracts.model_files import MANIFEST_FILE, MODEL_VERSION_FILE, SIGNATURE_FILE, STATISTICS_FOLDER
from crackgate.releases.change import ServingDirectoryError, changing
from crackgate.releases.durable_files import MODEL_FILE, copy_folder
from crackgate.releases.manifest import Release, build_manifest, digest_model, list_files, measure_file
from crackgate.releases.signatures import Signer


def publish(
    model: Path, serving_dir: Path, release: Release, signer: Signer | None = None, statistics: Path | None = None
) -> Path:
    """Releases a copy of a SavedModel as the newest version and returns the version's folder.

    Readers see all files or none, even after a crash. The version's number is the time in seconds since 1970, or higher
    if that is taken. `serving_dir` is created if missing. No `signer` makes an unsigned release. `statistics` is the
    folder of the images' statistics, which the version keeps.

    Raises:
        ServingDirectoryError: The model is missing, a write failed, or another change does not end.
            Nothing was released.
    """
    if not (model / MODEL_FILE).is_file():
        raise ServingDirectoryError(f"{str(model)!r} is no SavedModel: it has no {MODEL_FILE}; nothing was released")
    with changing(serving_dir, "nothing was released") as change:
        staged = change.workshop / "model"
        copy_folder(model, staged)
        # The model may itself be a release.
        for name in (MANIFEST_FILE, SIGNATURE_FILE):
            (staged / name).unlink(missing_ok=True)
        shutil.rmtree(staged / STATISTICS_FOLDER, ignore_errors=True)
        if statistics is not None:
            (staged / STATISTICS_FOLDER).parent.mkdir(exist_ok=True)
            copy_folder(statistics, staged / STATISTICS_FOLDER)
        while True:
            number = change.next_number()
            _complete(staged, number, release, signer)
            try:
                change.move(staged, serving_dir / str(number))
            except FileExistsError:  # Another machine was quicker, and its lock does not reach us.
                continue
            return serving_dir / str(number)


def _complete(staged: Path, number: int, release: Release, signer: Signer | None) -> None:
    if (staged / MODEL_VERSION_FILE).exists():
        write_text(staged / MODEL_VERSION_FILE, f"{number}\n")
    files = {name: measure_file(staged / name) for name in list_files(staged)}
    manifest = build_manifest(number, files, digest_model(files), release, signer.fingerprint if signer else None)
    content = manifest.model_dump_json(indent=2).encode() + b"\n"
    if signer is not None:
        write_bytes(staged / SIGNATURE_FILE, signer.sign(content))
    write_bytes(staged / MANIFEST_FILE, content)
