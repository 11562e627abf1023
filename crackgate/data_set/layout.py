"""Which level of a folder tree names the classes, which the splits, and which the parts to report by."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crackgate.contracts.errors import NEEDED, WrongQuestionError
from crackgate.data_set.class_setting import class_setting
from crackgate.data_set.file_tree import Folders
from crackgate.data_set.folder_names import is_class_name, is_damage, mask_folders, plain_name, split_of

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
    depth = max(map(len, folders), default=0)
    for names in (_names(folders, level) for level in range(depth)):
        _check_masks(names)
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
        elif _is_wrapper(names, below, holds_images):
            pass
        elif not holds_images and _hides_classes(folders, level):
            if any(map(is_damage, below)):
                _check_surfaces(folders, level)
            parts.append(level)
        else:
            break
        level += 1
    _check_classes(folders, level, names)
    if split_level is None:
        split_level = _find_splits_below(folders, level + 1)
    return Layout(level, split_level, tuple(parts))


def find_named_layout(folders: Counter[Folders], class_folders: Mapping[str, str]) -> Layout:
    """The layout in which the folders named in `class_folders`, at the outermost level that has any, are the classes.

    Raises WrongQuestionError where a named folder is missing at that level.
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
    split_level = splits[0] if splits else _find_splits_below(chosen, level + 1)
    parts = [above for above in range(level) if above != split_level and len(_names(chosen, above)) > 1]
    return Layout(level, split_level, tuple(parts))


def _names(folders: Iterable[Folders], level: int) -> set[str]:
    return {path[level] for path in folders if len(path) > level}


def _are_splits(names: set[str]) -> bool:
    """Whether all names are those of splits, and of more than one."""
    splits = set(map(split_of, names))
    return len(splits) > 1 and "" not in splits


def _is_wrapper(names: set[str], below: set[str], holds_images: bool) -> bool:
    """Whether a single folder only holds the class folders."""
    return len(names) == 1 and bool(below) and not holds_images and not any(map(is_class_name, names))


def _hides_classes(folders: Counter[Folders], level: int) -> bool:
    """Whether no folder of this level has the name of a class or a split, and one somewhere in them is for damage."""
    known = any(is_class_name(name) or split_of(name) for name in _names(folders, level))
    return not known and any(is_damage(name) for path in folders for name in path[level + 1 :])


def _check_masks(names: set[str]) -> None:
    masks = [] if any(map(is_class_name, names)) else mask_folders(sorted(names))
    if masks:
        others = [name for name in sorted(names) if name not in masks]
        raise WrongQuestionError(
            f"the folder {_listed(masks)} holds masks of the images in {_listed(others)}: {NEEDED}"
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


def _check_classes(folders: Counter[Folders], level: int, names: set[str]) -> None:
    splits = sorted(filter(split_of, names))
    if splits:
        others = sorted(names - set(splits))
        raise WrongQuestionError(
            f"the folder {_listed(splits)} has the name of a split, "
            + (f"and {_listed(others)} beside it has not" if others else "and there is no other split")
            + ": give folders for train and test (and valid), each with one folder per class, and nothing else"
            + _or_name(others)
        )
    if _hides_classes(folders, level):
        deeper = sorted({name for path in folders for name in path[level + 1 :] if is_damage(name)})
        raise WrongQuestionError(
            f"the folders {_listed(sorted(names))} hold images, and {_listed(deeper)} somewhere in them: put all class "
            f"folders at one level{_or_name(sorted(names))}"
        )
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
    if len(set(map(split_of, names)) - {""}) > 1:
        raise WrongQuestionError(
            f"the folders {_listed(sorted(filter(split_of, names)))} in the class folders are splits, and there are "
            f"images beside them: move those into a split, or rename these"
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
