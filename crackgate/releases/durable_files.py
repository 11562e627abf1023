"""Folders of models: copied, moved and removed so that no reader takes a part for the whole."""

import errno
import os
import shutil
from pathlib import Path

from crackgate.atomic_files import sync_folder, sync_tree, whole_file
from crackgate.contracts.model_files import MANIFEST_FILE

MODEL_FILE = "saved_model.pb"
# TensorFlow Serving recognizes a model by the first of them, our readers by the second.
LAST_FILES = (MODEL_FILE, str(MANIFEST_FILE))
# File systems answer so if they cannot rename folders. FUSE and 9p give ENOSYS or ENOTSUP, overlays and mounts EXDEV.
# Some network shares give EPERM or EINVAL, Google Cloud Storage FUSE gives EMFILE beyond a limit.
_NO_FOLDER_RENAME = {
    errno.EXDEV,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EINVAL,
    errno.EMFILE,
}


def copy_folder(source: Path, target: Path) -> None:
    """Copies a folder to a new name; the files that make it a model come last."""
    target.mkdir()
    for parent, folders, files in os.walk(source, onerror=raise_error, followlinks=True):
        here = target / Path(parent).relative_to(source)
        for name in folders:
            (here / name).mkdir()
        for name in files:
            if here != target or name not in LAST_FILES:
                shutil.copyfile(Path(parent) / name, here / name)
    sync_tree(target)
    for name in LAST_FILES:
        if (source / name).is_file():
            with whole_file(target / name) as partial:
                shutil.copyfile(source / name, partial)


def move_folder(source: Path, target: Path) -> None:
    """Moves a folder to a new name by one rename, or by a copy if a rename is impossible.

    Raises FileExistsError if `target` exists, OSError if the move fails; a partial copy has been removed.
    """
    # A rename would silently replace an empty folder.
    if target.exists():
        raise FileExistsError(errno.EEXIST, "there is such a folder already", str(target))
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(errno.EEXIST, "there is such a folder already", str(target)) from None
        if error.errno not in _NO_FOLDER_RENAME:
            raise
        _copy_and_remove(source, target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def remove_folder(folder: Path) -> None:
    """Removes a folder; from the first moment on no reader takes it for a model."""
    for name in reversed(LAST_FILES):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder)


def _copy_and_remove(source: Path, target: Path) -> None:
    try:
        copy_folder(source, target)
    except FileExistsError:
        raise
    except BaseException:
        remove_folder(target)
        raise
    remove_folder(source)


def raise_error(error: OSError) -> None:
    """Makes `os.walk` raise for an unreadable folder, which it would skip."""
    raise error
