"""Names that folders of images usually have: splits, classes, masks and cameras' own."""

import re
from collections.abc import Iterable

from crackgate.contracts.class_names import fold
from crackgate.contracts.stored_example import EVAL_SPLIT, TEST_SPLIT, TRAIN_SPLIT
from crackgate.model.positive_classes import names_cracks

_SPLITS = {
    TRAIN_SPLIT: re.compile(r"train(ing)?"),
    EVAL_SPLIT: re.compile(r"val(id(ation)?)?|eval(uation)?|dev(elopment)?"),
    TEST_SPLIT: re.compile(r"test(ing)?|hold[ _-]?out"),
}
# "training_set", "Train Images", "val2017".
_AFTER_SPLIT = re.compile(r"[ _.-]*(set|data|images?|imgs?|split|\d{4})?")
_SOUND = re.compile(
    r"negative|normal|sound|intact|healthy|good|ok|clean|background|undamaged|uncracked|u[dpw]"
    r"|(no|non|not|without|un)[ _-]?(cracks?|cracked|damaged?|defects?|defective)",
    re.IGNORECASE,
)
# SDNET2018's, of decks, pavements and walls.
_SDNET_CRACKED = re.compile(r"c[dpw]")
_MASKS = frozenset(("mask", "masks", "gt", "groundtruth", "truth", "seg", "segmentation", "annotation", "annotations"))
_MASKS_WITH_IMAGES = _MASKS | {"label", "labels", "lab"}
_IMAGES = frozenset(("image", "images", "img", "imgs", "photo", "photos", "rgb", "original", "originals"))
# Names of the DCF standard ("100APPLE", "101_PANA"), and days ("2023-05-01", "20230501").
_CAMERA = re.compile(r"[1-9]\d\d[0-9A-Z_]{5}|DCIM|(19|20)\d\d[ _.-]?[01]\d([ _.-]?[0-3]\d)?", re.IGNORECASE)


# Folders of images that nobody has sorted, or that somebody has put away.
_HEAP = re.compile(
    r"un[ _-]?(label+ed|sorted|clear|sure|classified)|misc(ellaneous)?|all|new( folder.*)?|old|back[ _-]?ups?|trash"
    r"|deleted|rejected|duplicates?|te?mp|outputs?|results?|predictions?|augmented|resized|thumb(nail)?s|to[ _-]?do"
)


def plain_name(name: str) -> str:
    """The name in NFC and small letters, without blanks around: names that people take for the same are equal."""
    return fold(name).strip()


def split_of(name: str) -> str:
    """The split that a folder's (or column's) name stands for; "" if it stands for none."""
    plain = plain_name(name)
    for split, pattern in _SPLITS.items():
        match = pattern.match(plain)
        if match and _AFTER_SPLIT.fullmatch(plain, match.end()):
            return split
    return ""


def is_class_name(name: str) -> bool:
    """Whether the name says that there is damage, or that there is none."""
    return is_damage(name) or _SOUND.fullmatch(plain_name(name)) is not None


def is_damage(name: str) -> bool:
    """Whether the name says that there is damage."""
    return names_cracks(name) or _SDNET_CRACKED.fullmatch(plain_name(name)) is not None


def is_heap_name(name: str) -> bool:
    """Whether the name says that the folder is no class, such as "unlabelled" or "backup"."""
    return _HEAP.fullmatch(plain_name(name)) is not None


def is_camera_name(name: str) -> bool:
    """Whether a camera, or the day, gave the folder its name."""
    return _CAMERA.fullmatch(plain_name(name)) is not None


def mask_folders(names: Iterable[str]) -> list[str]:
    """Those of neighbouring folders that hold masks of the images in others; "labels" only beside "images"."""
    words = {
        name: frozenset(re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())) for name in names
    }
    beside_images = any(found & _IMAGES for found in words.values())
    vocabulary = _MASKS_WITH_IMAGES if beside_images else _MASKS
    masks = [name for name, found in words.items() if found & vocabulary or plain_name(name).startswith("groundtruth")]
    return masks if len(masks) < len(words) else []
