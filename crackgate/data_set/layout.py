"""Which level of a folder tree names the classes, which the splits, and which the parts to report by."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crackgate.contracts.errors import NEEDED, WrongQuestionError
from crackgate.data_set.class_setting import class_setting
from crackgate.data_set.file_tree import Folders
from crackgate.data_set.folder_names import (
    are_classes,
    is_camera_name,
    is_class_name,
    is_damage,
    is_short_split,
    mask_folders,
    plain_name,
    split_of,
    splits_in,
)

_NAMES_SHOWN = 6


@dataclass(frozen=True)
class Layout:
    """Positions in a path's folders, counted from 0.

    Attributes:
        class_level: The folder that names the class.
        split_level: The folder that names the split; None where there are no given splits.
        part_levels: Folders that name a surface, a site or the like.
    """

    class_level: int
    split_level: int | None = None
    part_levels: tuple[int, ...] = ()


def find_layout(folders: Counter[Folders]) -> Layout:
    """Reads the layout from the names of the folders, `folders`, which have images directly in them.

    Raises WrongQuestionError where the folders say no classes, or may be meant in two ways.
    """
    _check_masks(folders)
    level, split_level, parts = 0, None, []
    while True:
        names, below = _names(folders, level), _names(folders, level + 1)
        holds_images = any(len(path) == level + 1 for path in folders)
        if split_level is None and _are_splits(names):
            if not below:
                raise WrongQuestionError(
                    f"the folders {_listed(sorted(names))} are splits without class folders: put the images of each "
                    "split into one folder per class"
                )
            split_level = level
        elif _is_wrapper(folders, level, holds_images) or _repeats_splits(folders, level, split_level):
            pass
        elif not holds_images and _inner_classes(folders, level):
            if split_level is None:
                _check_splits(names)
            if any(map(is_damage, below)):
                if split_level is None:
                    _check_splits(below)
                _check_surfaces(folders, level)
            parts.append(level)
        else:
            break
        level += 1
    if split_level is None:
        _check_splits(names)
    _check_classes(folders, level, names)
    if split_level is None:
        split_level = _find_splits_below(folders, level + 1)
    layout = Layout(level, split_level, tuple(parts))
    _check_split_classes(folders, layout, {name: name for name in names})
    if _name_splits(names):
        _check_splits(names)
    return layout


def find_named_layout(folders: Counter[Folders], class_folders: Mapping[str, str]) -> Layout:
    """The layout in which the folders named in `class_folders`, at the outermost level that has any, are the classes.

    Raises WrongQuestionError where a named folder is missing at that level, and where only some folders around or in
    the classes are splits.
    """
    found = {level: _names(folders, level) for level in range(max(map(len, folders), default=0))}
    level = next((level for level, names in found.items() if names & class_folders.keys()), 0)
    names = found.get(level, set())
    missing = [name for name in class_folders if name not in names]
    if missing:
        raise WrongQuestionError(
            f"data.classes: received {_listed(missing)}, but there is no such folder of files; there are "
            f"{_listed(sorted(names)) or 'none'}"
        )
    chosen = Counter(
        {path: count for path, count in folders.items() if len(path) > level and path[level] in class_folders}
    )
    splits = [above for above in range(level) if _are_splits(_names(chosen, above))]
    if not splits:
        for around in (_names(chosen, above) for above in range(level + 1)):
            if len(around) > 1:
                _check_splits(around)
    split_level = splits[0] if splits else _find_splits_below(chosen, level + 1)
    parts = [
        above
        for above in range(level)
        if above != split_level and len(_names(chosen, above)) > 1 and not _repeats_splits(chosen, above, split_level)
    ]
    layout = Layout(level, split_level, tuple(parts))
    _check_split_classes(chosen, layout, class_folders)
    return layout


def _names(folders: Iterable[Folders], level: int) -> set[str]:
    return {path[level] for path in folders if len(path) > level}


def _are_splits(names: set[str]) -> bool:
    """Whether all names are those of splits, and of more than one."""
    splits = set(map(split_of, names))
    return len(splits) > 1 and "" not in splits


def _name_splits(names: set[str]) -> list[str]:
    """The names of splits, unless all say the same one, as "Test 1" and "Test 2" of a laboratory do."""
    splits = sorted(filter(split_of, names))
    if len(set(map(split_of, splits))) < 2:
        splits = [name for name in splits if not is_short_split(name)]
    same = len(splits) == len(names) > 1 and len(set(map(split_of, splits))) == 1
    return [] if same else splits


def _is_wrapper(folders: Counter[Folders], level: int, holds_images: bool) -> bool:
    """Whether a single folder only holds the class folders, whatever its name is."""
    names = _names(folders, level)
    deeper = _deeper_names(folders, level)
    if len(names) > 1 or holds_images or not deeper:
        return False
    return not any(map(is_class_name, names)) or any(_are_splits(found) or are_classes(found) for found in deeper)


def _repeats_splits(folders: Counter[Folders], level: int, split_level: int | None) -> bool:
    """Whether each folder of this level says its split again: "training_set/training_set"."""
    said = [path for path in folders if len(path) > level]
    return (
        split_level is not None
        and all(len(path) != level + 1 for path in folders)
        and all(split_of(path[level]) == split_of(path[split_level]) for path in said)
    )


def _deeper_names(folders: Counter[Folders], level: int) -> list[set[str]]:
    """The names at each level below."""
    return [_names(folders, deeper) for deeper in range(level + 1, max(map(len, folders), default=0))]


def _inner_classes(folders: Counter[Folders], level: int) -> set[str]:
    """The names of classes deeper than this level; none where its own are those of classes or splits."""
    names = _names(folders, level)
    if _name_splits(names) or are_classes(names):
        return set()
    deeper = _deeper_names(folders, level)
    pair = next(filter(are_classes, deeper), set())
    if pair or any(map(is_class_name, names)):
        return pair
    return {name for found in deeper for name in found if is_damage(name)}


def _check_masks(folders: Counter[Folders]) -> None:
    neighbours: dict[Folders, set[str]] = {}
    for path in folders:
        for level, name in enumerate(path):
            neighbours.setdefault(path[:level], set()).add(name)
    for names in neighbours.values():
        masks = [] if any(map(is_class_name, names)) else mask_folders(sorted(names))
        if masks:
            others = [name for name in sorted(names) if name not in masks]
            raise WrongQuestionError(
                f"the folder {_listed(masks)} holds masks of the images in {_listed(others)}: {NEEDED}; if it holds "
                "photographs, name the classes by data.classes"
            )


def _check_surfaces(folders: Counter[Folders], level: int) -> None:
    """Lets folders of surfaces pass that have the same class folders, or else says how to name the classes."""
    holders: dict[str, set[str]] = {}
    for path in folders:
        if len(path) > level + 1:
            holders.setdefault(path[level + 1], set()).add(path[level])
    alone = [name for name, holding in holders.items() if len(holding) == 1]
    if alone:
        damaged = [name for name in sorted(holders) if is_damage(name)]
        sound = [name for name in sorted(holders) if not is_damage(name)]
        raise WrongQuestionError(
            f"the folders {_listed(sorted(_names(folders, level)))} each hold classes of their own, "
            f"{_listed(sorted(holders))}: "
            + (
                f"say which of them belong together: {setting}; the outer folders then become slices of the report"
                if (setting := class_setting({"Cracked": damaged, "Sound": sound}))
                else "a classifier needs folders without cracks, too"
            )
        )


def _check_splits(names: set[str]) -> None:
    """Refuses names of splits beside others, and names with the words of several splits, of which images get mixed."""
    splits = _name_splits(names)
    if splits:
        others = sorted(names - set(splits))
        raise WrongQuestionError(
            f"the folder {_listed(splits)} has the name of a split"
            + (f", and {_listed(others)} beside it has not" if others else ", and not that of a class")
            + ": give folders for train and test (and valid), each with one folder per class, and move or rename what "
            "is no split; or give a table of labels by --labels FILE"
        )
    words = {word for name in names for word in splits_in(name)}
    if len(words) > 1:
        raise WrongQuestionError(
            f"the folders {_listed(sorted(filter(splits_in, names)))} have names of splits and of something else: give "
            "folders for train and test (and valid), each with one folder per class, or a table of labels by --labels "
            "FILE; rename those that are no splits"
        )


def _check_split_classes(folders: Counter[Folders], layout: Layout, class_of: Mapping[str, str]) -> None:
    """Refuses given splits with different classes."""
    if layout.split_level is None:
        return
    classes: dict[str, set[str]] = {}
    for path in folders:
        if len(path) > layout.split_level:
            held = classes.setdefault(path[layout.split_level], set())
            held.update(class_of[name] for name in path[layout.class_level : layout.class_level + 1])
    of_split: dict[str, set[str]] = {}
    for name, held in classes.items():
        of_split.setdefault(split_of(name), set()).update(held)
    if len(set(map(frozenset, of_split.values()))) == 1:
        return
    # A test folder without labels often holds one folder more, "unknown" or "images".
    lacking = sorted(name for name, held in classes.items() if len(held) < 2 and not _holds_known(name, classes))
    others = sorted(set().union(*(held for name, held in classes.items() if name not in lacking)))
    if lacking and others:
        raise WrongQuestionError(
            f"the folder {_listed(lacking)} has no class folders, and the other splits have {_listed(others)}: sort "
            f"its images into such folders, or move it out of the data folder{_or_name(others)}"
        )
    told = "; ".join(f"{name!r} has {_listed(sorted(held))}" for name, held in sorted(classes.items()))
    every: set[str] = set().union(*of_split.values())
    uncommon = every.difference(every.intersection(*of_split.values()))
    raise WrongQuestionError(
        f"the splits have different classes: {told}: not all have {_listed(sorted(uncommon))}; rename "
        "folders of one class alike, add what is missing, or say by data.classes which folders make which class"
    )


def _holds_known(split: str, classes: Mapping[str, set[str]]) -> bool:
    """Whether a split's folder has a class of another split."""
    return any(classes[split] & held for other, held in classes.items() if split_of(other) != split_of(split))


def _check_ambiguous(folders: Counter[Folders], level: int) -> None:
    """Refuses folders that share folders' names, where no name tells which of them are the classes."""
    names, inner = _names(folders, level), _names(folders, level + 1)
    holders = Counter(name for _, name in {path[level : level + 2] for path in folders if len(path) > level + 1})
    shared = [name for name, count in holders.items() if count > 1]
    told = any(map(is_class_name, names)) or any(split_of(name) or is_camera_name(name) for name in inner)
    if len(shared) > 1 and not told and all(len(path) != level + 1 for path in folders):
        raise WrongQuestionError(
            f"the folders {_listed(sorted(names))} hold {_listed(sorted(inner))} several times, and no name "
            f"says which are the classes: name those, {class_setting(sorted(inner))} or {class_setting(sorted(names))}"
        )


def _check_classes(folders: Counter[Folders], level: int, names: set[str]) -> None:
    deeper = _inner_classes(folders, level)
    if deeper:
        raise WrongQuestionError(
            f"the folders {_listed(sorted(names))} hold images, and {_listed(sorted(deeper))} somewhere in them: put "
            f"all class folders at one level{_or_name(sorted(names))}"
        )
    _check_ambiguous(folders, level)
    plain = {plain_name(name): name for name in names}
    for path in folders:
        inner = plain_name(path[level + 1]) if len(path) > level + 1 else ""
        if inner in plain and inner != plain_name(path[level]):
            raise WrongQuestionError(
                f"the folder {path[level]!r} holds {path[level + 1]!r}, which has the name of a class beside it: move "
                f"it{_or_name(sorted(names - {path[level]}))}"
            )


def _find_splits_below(folders: Counter[Folders], level: int) -> int | None:
    """`level`, where folders of splits lie in the class folders."""
    names = _names(folders, level)
    if _are_splits(names) and not any(len(path) == level for path in folders):
        return level
    splits = sorted(filter(splits_in, names))
    if len({split for name in splits for split in splits_in(name)}) > 1:
        raise WrongQuestionError(
            f"the folders {_listed(splits)} in the class folders are splits, and there are images beside them: move "
            "those into a split, or rename these"
        )
    return None


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:_NAMES_SHOWN])) + more


def _or_name(classes: list[str]) -> str:
    """The other way out, if these can be the classes."""
    setting = class_setting(classes)
    return f", or name the classes: {setting}" if setting else ""
