"""All files of a data folder: those that may be photographs, and those ignored by kind."""

import os
from collections import Counter
from dataclasses import dataclass, field

from crackgate.data_set.ignored_files import SYSTEM_FILES, is_system_folder, kind_of_ignored
from crackgate.data_set.own_folders import is_own_folder
from crackgate.images.image_folder import walk_folders
from crackgate.storage.cache import cached
from crackgate.storage.location import Location

OWN_FOLDERS = "folders of crackgate"

# The folders of a path below the data folder.
Folders = tuple[str, ...]


@dataclass
class FileTree:
    """Paths below the data folder, in the order of the walk.

    Attributes:
        images: What may be photographs; a trailing "/" marks an unlistable folder.
        marks: Of images that are objects in a store, by path: see `StoredObject`.
        ignored: Files that are none, by kind; `OWN_FOLDERS` holds folders.
        empty: Folders with nothing in them, each with a "/" at its end.
        is_own: Whether the data folder itself is one that crackgate has written.
    """

    images: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    is_own: bool = False

    def count_folders(self) -> Counter[Folders]:
        """Images directly in each folder."""
        return Counter(map(folders_of, self.images))


def folders_of(path: str) -> Folders:
    """The folders of a path, outermost first."""
    return tuple(path.split(os.sep)[:-1])


def read_tree(folder: Location) -> FileTree:
    """Lists the data folder, and enters no folder that crackgate has written; raises what `walk_folders` does."""
    return cached(_read, folder)


def _read(folder: Location) -> FileTree:
    tree = FileTree()
    for listed in walk_folders(folder):
        if is_own_folder(frozenset((*listed.files, *listed.folders))):
            listed.folders.clear()
            tree.ignored.setdefault(OWN_FOLDERS, []).append(listed.path)
            tree.is_own = tree.is_own or not listed.path
            continue
        below_system = any(map(is_system_folder, listed.path.split(os.sep)[:-1]))
        if not listed.readable:
            _add(tree, listed.path, SYSTEM_FILES if below_system else "")
        elif not listed.files and not listed.folders and not below_system:
            tree.empty.append(listed.path)
        for name in listed.files:
            _add(tree, listed.path + name, SYSTEM_FILES if below_system else kind_of_ignored(name))
            if name in listed.marks:
                tree.marks[listed.path + name] = listed.marks[name]
    return tree


def _add(tree: FileTree, path: str, kind: str) -> None:
    (tree.ignored.setdefault(kind, []) if kind else tree.images).append(path)
