"""The data set in a folder: every image with its class and, where they are given, its split, group and part."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from crackgate.config.data import DataOptions
from crackgate.contracts.class_names import compose
from crackgate.contracts.errors import WrongQuestionError
from crackgate.contracts.stored_example import EVAL_SPLIT, SPLITS, TEST_SPLIT, TRAIN_SPLIT
from crackgate.data_set.annotations import describe_annotations
from crackgate.data_set.file_tree import OWN_FOLDERS, FileTree, Folders, folders_of, read_tree
from crackgate.data_set.folder_names import is_class_name, split_of
from crackgate.data_set.ignored_files import SYSTEM_FILES
from crackgate.data_set.label_table import read_label_table
from crackgate.data_set.layout import Layout, find_layout, find_named_layout
from crackgate.images.image_folder import fingerprint, readable_path
from crackgate.storage.location import Location, below, is_url

OUTSIDE_CLASSES = "images outside data.classes"
WITHOUT_LABEL = "images without a label"
OTHER_SPLITS = "images of other splits"

_SHOWN = 6
_FOLD = re.compile(r"(?i)(cv|k)?[ _-]?fold[ _-]?\d+")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One file that may be a photograph.

    Attributes:
        path: Below the data folder; a trailing "/" marks an unlistable folder.
        class_name: "" for a file in no class folder.
        splits: The given split; of several, the hash of the group chooses; of none, among all splits.
        group: The name of its group in a table of labels; "" without.
        part: The folder of its surface, site or the like, where such folders hold the class folders; "" without.
    """

    path: str
    class_name: str
    splits: tuple[str, ...] = ()
    group: str = ""
    part: str = ""


@dataclass(frozen=True)
class DataSet:
    """The images of a data folder.

    Attributes:
        classes: Names in label order.
        images: In the order of their paths.
        ignored: Numbers of files that are not images of the data set, by kind; they are not rejected.
        notes: Sentences about the way in which the folder was read.
        without_images: Folders beside the class folders that may be meant as classes, and hold no image.
        marks: Of images that are objects in a store, by path: see `StoredObject`.
    """

    classes: list[str]
    images: list[ListedImage]
    ignored: dict[str, int]
    notes: list[str]
    without_images: list[str] = field(default_factory=list)
    marks: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self, folder: Location) -> str:
        """Hex digest of the files, their classes, given splits, groups and parts: the cache key of the data."""
        digest = hashlib.sha256(fingerprint(folder, (image.path for image in self.images), self.marks).encode())
        # As of `repr((images, ignored))`, and never all of that at once.
        for number, image in enumerate(self.images):
            digest.update(os.fsencode(f"{', ' if number else '(['}{image!r}"))
        digest.update(os.fsencode(f"{'' if self.images else '(['}], {sorted(self.ignored.items())!r})"))
        return digest.hexdigest()

    def within(self, splits: Collection[str]) -> "DataSet":
        """The images that may go to these splits; those that are given to others are ignored."""
        allowed = [tuple(split for split in image.splits if split in splits) for image in self.images]
        kept = [
            replace(image, splits=left)
            for image, left in zip(self.images, allowed, strict=True)
            if left or not image.splits
        ]
        others = len(self.images) - len(kept)
        return replace(self, images=kept, ignored=self.ignored | ({OTHER_SPLITS: others} if others else {}))


def find_data_set(folder: Location, options: DataOptions) -> DataSet:
    """Lists the data folder, and finds classes, splits and parts in its folders, or in `options.labels`.

    Raises:
        WrongQuestionError: The folder says no classes, or may be meant in two ways; a class of `options.classes` is
            missing; the table of labels is wrong.
        OSError: The folder cannot be listed.
        StorageError: The store of a URL cannot be used.
    """
    tree = read_tree(folder)
    if tree.is_own:
        raise WrongQuestionError(f"{str(folder)!r} was written by crackgate: give the folder of the photographs")
    data_set = _read_table(folder, tree, options) if options.labels else _read_folders(tree, options.class_of_folder)
    if options.group_by:
        _check_groups(data_set.images, re.compile(options.group_by))
    return data_set


def find_group(pattern: re.Pattern[str], path: str) -> str:
    """The name of an image's group in its path: the pattern's first group, or its whole match; "" if it finds none."""
    match = pattern.search(readable_path(os.fsencode(path)))
    return (match[1 if match.re.groups else 0] or "") if match else ""


def _read_table(folder: Location, tree: FileTree, options: DataOptions) -> DataSet:
    table = options.labels
    file = table if is_url(table) or os.path.isabs(table) else below(folder, table)
    rows = read_label_table(file, folder, tree.images)
    labels = sorted({row.label for row in rows})
    # A table may name the classes themselves, too, as the list of doubtful labels does.
    names = {name: name for name in options.class_of_folder.values()}
    class_of = _as_found(names if set(labels) <= names.keys() else options.class_of_folder, labels)
    class_of = class_of or {label: label for label in labels}
    missing = sorted(class_of.keys() - set(labels))
    if missing:
        raise WrongQuestionError(
            f"data.classes: received {', '.join(map(repr, missing))}, but no row of {str(file)!r} has such a label; it "
            f"has {', '.join(map(repr, labels))}"
        )
    if options.group_by and any(row.group for row in rows):
        raise WrongQuestionError(
            f"data.group_by: received {options.group_by!r}, but {str(file)!r} has a column group: leave out one of them"
        )
    used, notes = _use_splits({row.split for row in rows} - {""}, f"the splits in {os.path.basename(file)!r}")
    images = [
        ListedImage(row.path, class_of[row.label], used.get(row.split, ()), row.group)
        for row in sorted(rows, key=lambda row: row.path)
        if row.label in class_of
    ]
    named = {row.path for row in rows}
    ignored = Counter({kind: len(set(paths) - named) for kind, paths in tree.ignored.items()})
    ignored[WITHOUT_LABEL] = len(set(tree.images) - named)
    ignored[OUTSIDE_CLASSES] = len(named) - len(images)
    return DataSet(list(dict.fromkeys(class_of.values())), images, dict(+ignored), notes, marks=tree.marks)


def _as_found(class_of: dict[str, str], found: Iterable[str]) -> dict[str, str]:
    """The classes under the names as they are found, where one name alone has the same NFC."""
    alike: dict[str, set[str]] = {}
    for name in found:
        alike.setdefault(compose(name), set()).add(name)

    def spelling(name: str) -> str:
        names = alike.get(compose(name), set())
        return name if name in names or len(names) != 1 or names <= class_of.keys() else next(iter(names))

    return {spelling(name): class_name for name, class_name in class_of.items()}


def _read_folders(tree: FileTree, class_of_folder: dict[str, str]) -> DataSet:
    folders = tree.count_folders()
    class_of_folder = _as_found(class_of_folder, (name for path in folders for name in path))
    layout = find_named_layout(folders, class_of_folder) if class_of_folder else _find_layout(tree, folders)
    names = sorted({path[layout.class_level] for path in folders if len(path) > layout.class_level})
    class_of = class_of_folder or {name: name for name in names}
    classes = list(dict.fromkeys(class_of.values()))
    if not class_of_folder and (len(classes) < 2 or not any(map(is_class_name, classes))):
        _refuse_annotations(tree, len(classes) < 2)
    in_classes = [
        above for above in folders if len(above) > layout.class_level and above[layout.class_level] in class_of
    ]
    found = _levels(in_classes, layout.split_level)
    used, notes = _use_splits(found, f"the folders {', '.join(map(repr, found))}")
    images = [_place(path, layout, class_of, used) for path in tree.images]
    ignored = {kind: len(paths) for kind, paths in tree.ignored.items()}
    if class_of_folder:
        outside = sum(not image.class_name for image in images)
        images = [image for image in images if image.class_name]
        ignored |= {OUTSIDE_CLASSES: outside} if outside else {}
    notes += _describe_levels(in_classes, layout, classes)
    lacking = [] if class_of_folder else _find_without_images(tree, layout.class_level, names)
    return DataSet(classes, images, ignored, notes, lacking, tree.marks)


def _find_without_images(tree: FileTree, level: int, classes: list[str]) -> list[str]:
    """Names at the level of the classes: of empty folders, and of those with a class's name but other files."""
    empty = {path[level] for path in map(folders_of, tree.empty) if len(path) > level}
    kinds = tree.ignored.keys() - {OWN_FOLDERS, SYSTEM_FILES}
    others = (folders_of(path) for kind in kinds for path in tree.ignored[kind])
    named = {path[level] for path in others if len(path) > level and is_class_name(path[level])}
    return sorted((empty | named) - set(classes))


def _find_layout(tree: FileTree, folders: Counter[Folders]) -> Layout:
    try:
        return find_layout(folders)
    except WrongQuestionError:
        # Annotations explain why there are no class folders.
        _refuse_annotations(tree, not any(is_class_name(name) for path in folders for name in path))
        raise


def _refuse_annotations(tree: FileTree, with_any: bool) -> None:
    sign = describe_annotations(tree, with_any)
    if sign:
        raise WrongQuestionError(sign) from None


def _place(path: str, layout: Layout, class_of: dict[str, str], used: dict[str, tuple[str, ...]]) -> ListedImage:
    folders = folders_of(path)
    name = class_of.get(folders[layout.class_level], "") if len(folders) > layout.class_level else ""
    if not name:
        return ListedImage(path, "")
    splits = () if layout.split_level is None else used[split_of(folders[layout.split_level])]
    return ListedImage(path, name, splits, part=os.sep.join(folders[level] for level in layout.part_levels))


def _check_groups(images: list[ListedImage], pattern: re.Pattern[str]) -> None:
    """Refuses groups of `data.group_by` that given splits part."""
    first: dict[str, ListedImage] = {}
    for image in images:
        if not image.class_name:  # in no split either
            continue
        name = find_group(pattern, image.path)
        other = first.setdefault(name, image)
        if name and other.splits != image.splits:
            raise WrongQuestionError(
                f"data.group_by: received {pattern.pattern!r}, whose group {name!r} is in two given splits, in "
                f"{other.path!r} and {image.path!r}: a group is in one split"
            )


def _use_splits(names: Iterable[str], said: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The use of each given split, and a sentence about it; `names` are those of folders or in a table.

    Eval or test may be missing: the other one judges, and train is then divided.
    """
    given = set(map(split_of, names))
    if not given:
        return {}, []
    if TRAIN_SPLIT not in given or len(given) < 2:
        raise WrongQuestionError(
            f"{said} give {', '.join(sorted(given))} only: needed are train and test, and eval (val, valid) may follow"
        )
    used: dict[str, tuple[str, ...]]
    if len(given) == len(SPLITS):
        used = {split: (split,) for split in SPLITS}
    else:
        (judging,) = given - {TRAIN_SPLIT}
        used = {TRAIN_SPLIT: (TRAIN_SPLIT, EVAL_SPLIT), judging: (TEST_SPLIT,)}
    told = ", ".join(f"{name!r} is used as {' and '.join(used[split_of(name)])}" for name in sorted(names))
    return used, [f"given splits: {told}"]


def _describe_levels(folders: list[Folders], layout: Layout, classes: list[str]) -> list[str]:
    notes = []
    if layout.class_level:
        holders = sorted({os.sep.join(above[: layout.class_level]) for above in folders})
        shown = ", ".join(map(repr, holders[:_SHOWN])) + (", ..." if len(holders) > _SHOWN else "")
        notes.append(f"the classes are {', '.join(map(repr, classes))}, folders in {shown}")
    parts = sorted({os.sep.join(above[level] for level in layout.part_levels) for above in folders} - {""})
    if parts:
        folds = all(map(_FOLD.fullmatch, parts)) and len(parts) > 1
        said = (
            "; as folds of a cross-validation they are not used: the splits are drawn from all of them" if folds else ""
        )
        notes.append(f"{', '.join(map(repr, parts))} are slices of the report{said}")
    return notes


def _levels(folders: Iterable[Folders], level: int | None) -> list[str]:
    """The names of the folders at a level."""
    return sorted({above[level] for above in folders if level is not None and len(above) > level})
