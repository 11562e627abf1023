"""Files that a command's arguments stand for. Without heavy imports, so that a wrong one is refused at once."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from crackgate.atomic_files import is_partial_of
from crackgate.images.image_folder import find_files
from crackgate.storage.cache import cached
from crackgate.storage.location import Location, below, is_url, parse_location
from crackgate.storage.object_store import StorageError, list_objects


class NoSuchInputError(ValueError):
    """Arguments that stand for no file."""


def check_inputs(arguments: Iterable[str], output: Path | None = None) -> None:
    """Raises NoSuchInputError for arguments that stand for no file, and names them all; see `find_images`.

    So it does for a store that cannot be used.
    """
    missing: list[str] = []
    empty: list[str] = []
    without_objects: list[str] = []
    for argument in arguments:
        if not is_url(argument) and not os.path.lexists(argument) and not _matches(argument):
            missing.append(argument)
        elif next(find_images([argument], output), None) is None:
            (without_objects if is_url(argument) else empty).append(argument)
    problems = []
    if missing:
        problems.append(
            f"no such file or folder, and no pattern that matches one: {', '.join(map(repr, missing))}; a pattern has "
            "*, ? or [...] for parts of a name and ** for any folders, and is quoted: 'photographs/**/*.jpg'"
        )
    if empty:
        problems.append(
            f"there is no file to read in {', '.join(map(repr, empty))}: give a folder with images; is it mounted?"
        )
    if without_objects:
        problems.append(
            f"no object has the prefix {', '.join(map(repr, without_objects))}: correct it; patterns are for paths "
            "alone"
        )
    if problems:
        raise NoSuchInputError("; ".join(problems))


def find_images(arguments: Iterable[str], output: Path | None = None) -> Iterator[Location]:
    """Yields the files and objects that arguments stand for: argument by argument, and sorted by path for each.

    Args:
        arguments: Files, folders and patterns in the shell's manner, with ** for any folders. A folder, and one that a
            pattern without ** matches, stands for every file below it. Of a folder, never all paths are held at once.
            A file of that literal name makes it no pattern. A URL stands for its object, or for every one below it;
            within `listed_once` it is listed once.
        output: File or folder that receives the results, or a link to it; it is left out, with all below it.

    Raises NoSuchInputError for a store that cannot be used.
    """
    places = set() if output is None else {output.parent.resolve() / output.name, output.resolve()}
    for file in _find_all(arguments):
        if isinstance(file, str) or not any(_is_output(file, place) for place in places):
            yield file


def _find_all(arguments: Iterable[str]) -> Iterator[Location]:
    for argument in arguments:
        if is_url(argument):
            yield from _find_objects(argument)
        elif os.path.lexists(argument) or not glob.has_magic(argument):
            yield from _expand(Path(argument))
        else:
            recursive = "**" in argument
            # The file system's own order differs from machine to machine.
            for match in sorted(glob.iglob(argument, recursive=True)):
                # Below ** its files are matched by themselves.
                if not (recursive and os.path.isdir(match)):
                    yield from _expand(Path(match))


def _find_objects(argument: str) -> Iterator[Location]:
    try:
        url = str(parse_location(argument))
        yield from cached(_list_urls, url)
    except ValueError as error:
        raise NoSuchInputError(f"received {argument!r}; {error}") from None
    except StorageError as error:
        raise NoSuchInputError(str(error)) from None


def _list_urls(url: Location) -> list[Location]:
    return [below(url, found.path) if found.path else url for found in list_objects(str(url))]


def _matches(argument: str) -> bool:
    return glob.has_magic(argument) and next(glob.iglob(argument, recursive=True), None) is not None


def _expand(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    files = find_files(path)
    try:
        yield from (path / file for file in files)
    except OSError:
        # Reading it says why it cannot be listed.
        yield path


def _is_output(file: Path, output: Path) -> bool:
    # The name is compared first: resolving every path would cost more than listing it.
    if output.name not in str(file):
        return False
    place = file.parent.resolve() / file.name
    return place == output or output in place.parents or is_partial_of(place, output)
