"""Publication: a model enters the serving directory as a whole or not at all."""

import shutil
from pathlib import Path

from crackgate.atomic_files import write_bytes, write_text
from crackgate.contracts.model_files import MANIFEST_FILE, MODEL_VERSION_FILE, SIGNATURE_FILE, STATISTICS_FOLDER
from crackgate.releases.change import ServingDirectoryError, changing
from crackgate.releases.durable_files import MODEL_FILE, copy_folder
from crackgate.releases.manifest import Release, build_manifest, digest_model, list_files, measure_file
from crackgate.releases.records import State, folder_in
from crackgate.releases.signatures import Signer


def publish(
    model: Path,
    serving_dir: Path,
    release: Release,
    signer: Signer | None = None,
    statistics: Path | None = None,
    staged_against: int | None = None,
) -> Path:
    """Releases a copy of a SavedModel as the newest version and returns the version's folder.

    A version that needs approval is staged: it lies in `staged/`, where no server looks, until `approve` moves it.
    `staged_against` is then the version in production with which it was compared, 0 without one; see `Manifest`.

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
        copy = change.workshop / "model"
        copy_folder(model, copy)
        # The model may itself be a release.
        for name in (MANIFEST_FILE, SIGNATURE_FILE):
            (copy / name).unlink(missing_ok=True)
        shutil.rmtree(copy / STATISTICS_FOLDER, ignore_errors=True)
        if statistics is not None:
            (copy / STATISTICS_FOLDER).parent.mkdir(exist_ok=True)
            copy_folder(statistics, copy / STATISTICS_FOLDER)
        while True:
            number = change.next_number()
            _complete(copy, number, release, signer, staged_against)
            target = folder_in(serving_dir, number, State.RELEASED if staged_against is None else State.STAGED)
            target.parent.mkdir(exist_ok=True)
            try:
                change.move(copy, target)
            except FileExistsError:  # Another machine was quicker, and its lock does not reach us.
                continue
            return target


def _complete(copy: Path, number: int, release: Release, signer: Signer | None, staged_against: int | None) -> None:
    if (copy / MODEL_VERSION_FILE).exists():
        write_text(copy / MODEL_VERSION_FILE, f"{number}\n")
    files = {name: measure_file(copy / name) for name in list_files(copy)}
    key = signer.fingerprint if signer else None
    content = build_manifest(number, files, digest_model(files), release, key, staged_against).render()
    if signer is not None:
        write_bytes(copy / SIGNATURE_FILE, signer.sign(content))
    write_bytes(copy / MANIFEST_FILE, content)
