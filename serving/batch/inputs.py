"""Files that a command's arguments stand for. Without heavy imports, so that a wrong one is refused at once."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from crackgate.images.image_folder import find_files


class NoSuchInputError(ValueError):
    """Arguments that stand for no file."""


def check_inputs(arguments: Iterable[str]) -> None:
    """Raises NoSuchInputError for arguments that are no file, no folder and no pattern of any, and names them all."""
    missing = [argument for argument in arguments if not os.path.lexists(argument) and not _matches(argument)]
    if missing:
        raise NoSuchInputError(
            f"no such file or folder, and no pattern that matches one: {', '.join(map(repr, missing))}; a pattern has "
            "*, ? or [...] for parts of a name and ** for any folders, and is quoted: 'photographs/**/*.jpg'"
        )


def find_images(arguments: Iterable[str]) -> Iterator[Path]:
    """Yields the files that arguments stand for, one after the other, and never all at once.

    Args:
        arguments: Files, folders and patterns in the shell's manner, with ** for any folders. A folder, and one that a
            pattern without ** matches, stands for every file below it, sorted. A pattern's matches keep the file
            system's order. A file of that literal name makes it no pattern.
    """
    for argument in arguments:
        if os.path.lexists(argument) or not glob.has_magic(argument):
            yield from _expand(Path(argument))
            continue
        recursive = "**" in argument
        for match in glob.iglob(argument, recursive=True):
            # Below ** its files are matched by themselves.
            if not (recursive and os.path.isdir(match)):
                yield from _expand(Path(match))


def _matches(argument: str) -> bool:
    return glob.has_magic(argument) and next(glob.iglob(argument, recursive=True), None) is not None


def _expand(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (path / file for file in find_files(path))
    else:
        yield path
