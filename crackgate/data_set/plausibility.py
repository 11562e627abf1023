"""Whether the classes found in a data folder can be those that somebody means."""

import os
from collections import Counter, defaultdict

from crackgate.contracts.errors import NEEDED, WrongQuestionError
from crackgate.data_set.class_setting import class_setting
from crackgate.data_set.data_set import DataSet, ListedImage
from crackgate.data_set.folder_names import copied_name, is_camera_name, is_heap_name, is_rest_name, plain_name
from crackgate.data_set.ignored_files import ARCHIVES
from crackgate.plural import counted
from crackgate.storage.location import Location, below

# A class that nobody named, with fewer images and a smaller share of the largest one's, is most likely none.
_FEW = 10
_SMALL_SHARE = 0.05
# Images that are looked at to tell masks from photographs, of each folder and suffix and in all.
_LOOKED_AT = 3
_MOST_LOOKED_AT = 24
# Masks beside their images are half of a class, or somewhat less where some images have none; logos are few.
_SHARE_OF_MASKS = 1 / 3
_SHOWN = 6


def check_plausible(folder: Location, data_set: DataSet, named: bool, max_rejected_share: float) -> list[str]:
    """Returns warnings; `named` says that the user named the classes or gave a table of labels.

    Raises WrongQuestionError for two classes of one name, copies of class folders, folders that a camera or the day
    named, masks, a class that cannot be listed, a few images beside many, and too many images in no class.
    """
    counts = Counter(image.class_name for image in data_set.images)
    _check_names(data_set.classes, named)
    _check_listed(data_set)
    loose = counts[""]
    if len(data_set.classes) > 1 and loose > max_rejected_share * len(data_set.images):
        example = next(image.path for image in data_set.images if not image.class_name)
        raise WrongQuestionError(
            f"no class folder holds {loose} of {len(data_set.images)} images, such as {example!r}: the classes are "
            f"{_listed(data_set.classes)}; move them into one, or name the classes: {class_setting(data_set.classes)}"
        )
    rest = [] if named else _find_rest(data_set.classes)
    lacking = _find_without_images(data_set)
    return rest + lacking + _find_small_classes(data_set.classes, counts, named) + _find_masks(folder, data_set)


def describe_lack(data_set: DataSet) -> str:
    """Says what a data set of fewer than two classes has, what it needs and what to do; "" for two or more."""
    classes = data_set.classes
    if len(classes) > 1:
        return ""
    found = f"one class, {classes[0]!r}" if classes else "no class folder with a file in it"
    also = "".join(f", {kind} ignored: {count}" for kind, count in data_set.ignored.items())
    unpack = " unpack the archives if they hold the images;" if ARCHIVES in data_set.ignored else ""
    empty = f"; {_no_image(data_set)}" if data_set.without_images else ""
    return f"it has {found} ({counted(len(data_set.images), 'file')} in all{also}){empty}:{unpack} {NEEDED}"


def _find_without_images(data_set: DataSet) -> list[str]:
    """A warning for folders that may be classes whose images were not copied."""
    if not data_set.without_images:
        return []
    classes = _listed(data_set.classes)
    advice = (
        "bring their images, or remove them" if len(data_set.without_images) > 1 else "bring its images, or remove it"
    )
    return [f"{_no_image(data_set)}, so the classes are {classes}: {advice}"]


def _no_image(data_set: DataSet) -> str:
    names = data_set.without_images
    return f"the folder{'s' if len(names) > 1 else ''} {_listed(names)} hold{'' if len(names) > 1 else 's'} no image"


def _find_rest(classes: list[str]) -> list[str]:
    """A warning for a class of everything else."""
    return [
        f"the class {name!r} may hold images of the other classes, since its name says no more than that they are the "
        "rest: look at some of them"
        for name in classes
        if is_rest_name(name)
    ]


def _check_names(classes: list[str], named: bool) -> None:
    alike = defaultdict(list)
    for name in classes:
        alike[plain_name(name)].append(name)
    twice = next((name for name, names in alike.items() if len(names) > 1), None)
    if twice:
        setting = "" if named else class_setting({names[0]: names for names in alike.values()})
        raise WrongQuestionError(
            f"the classes {_listed(alike[twice])} have the same name: put their images together, or "
            + (f"name the classes: {setting}" if setting else "give them different names")
        )
    copies = [] if named else [name for name in classes if copied_name(name) in alike]
    if copies:
        raise WrongQuestionError(
            f"the folder {_listed(copies)} has the name of a copy of a class beside it: put its images into that one, "
            f"or remove the folder; if it is a class of its own, name all classes: {class_setting(classes)}"
        )
    heaps = [] if named else [name for name in classes if is_heap_name(name)]
    if heaps and len(classes) > 1:
        raise WrongQuestionError(
            f"the folder {_listed(heaps)} has the name of a heap, not of a class: {_way_out(classes, heaps)}"
        )
    if classes and not named and all(map(is_camera_name, classes)):
        raise WrongQuestionError(
            f"the folders {_listed(classes)} were named by a camera, or after a day, and not after what the images "
            "show: put the images into one folder per class, or give a table of labels by --labels FILE"
        )


def _check_listed(data_set: DataSet) -> None:
    for name in data_set.classes:
        paths = [image.path for image in data_set.images if image.class_name == name]
        if paths and all(path.endswith(os.sep) for path in paths):
            raise WrongQuestionError(
                f"the folder {paths[0]!r}, of the class {name!r}, cannot be listed: permit it, or leave it out of "
                "data.classes"
            )


def _find_small_classes(classes: list[str], counts: Counter[str], named: bool) -> list[str]:
    most = max((counts[name] for name in classes), default=0)
    small = [name for name in classes if counts[name] < _SMALL_SHARE * most]
    if not small:
        return []
    shares = ", ".join(f"{name!r} has {counted(counts[name], 'image')}" for name in small)
    said = f"{shares}, and the largest class has {most}"
    if not named and any(counts[name] < _FEW for name in small):
        raise WrongQuestionError(f"{said}: {_way_out(classes, small)}, or add images")
    return [said]


def _way_out(classes: list[str], doubtful: list[str]) -> str:
    """How to say whether `doubtful` are classes; with fewer than two others there is nothing to name without them."""
    others = class_setting([name for name in classes if name not in doubtful])
    leave = f"name the others: {others}" if others else "move it out of the data folder"
    return f"if it is no class, {leave}; if it is one, name it, too: {class_setting(classes)}"


def _find_masks(folder: Location, data_set: DataSet) -> list[str]:
    """A sentence for each class with a few masks; raises WrongQuestionError where masks are a real share of one."""
    from crackgate.data_set.masks import are_masks

    kinds: dict[str, dict[tuple[str, str], list[ListedImage]]] = defaultdict(lambda: defaultdict(list))
    for image in data_set.images:
        if image.class_name and not image.path.endswith(os.sep):
            kind = os.path.dirname(image.path), os.path.splitext(image.path)[1].lower()
            kinds[image.class_name][kind].append(image)
    most_kinds = max(1, _MOST_LOOKED_AT // max(1, len(kinds)))
    most = max(1, min(_LOOKED_AT, _MOST_LOOKED_AT // max(1, sum(map(len, kinds.values())))))
    warnings = []
    for name in list(kinds)[:: max(1, len(kinds) // _MOST_LOOKED_AT)]:
        # The largest ones: a class is judged by most of its images.
        judged = sorted(kinds[name].values(), key=len, reverse=True)[:most_kinds]
        masks = []
        for images in judged:
            if are_masks(below(folder, image.path) for image in images[:: max(1, len(images) // most)][:most]):
                masks += images
        if not masks:
            continue
        total = sum(map(len, judged))
        said = f"images of {name!r} ({len(masks)} of {total}), such as {masks[0].path!r}, are"
        if len(masks) < _SHARE_OF_MASKS * total:
            warnings.append(
                f"{said} drawn in flat tones, as masks and logos are: remove them if they are no photographs"
            )
            continue
        raise WrongQuestionError(
            f"{said} masks in flat tones: move them out of its folders, leave their folder out of data.classes, or "
            f"leave their rows out of the table of labels; {NEEDED}"
        )
    return warnings


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
