"""Names that folders of images usually have: splits, classes, masks and cameras' own."""

import re
from collections.abc import Iterable

from crackgate.contracts.class_names import fold
from crackgate.contracts.stored_example import EVAL_SPLIT, TEST_SPLIT, TRAIN_SPLIT
from crackgate.model.positive_classes import names_cracks

# With what people write into the same word: "trainset", "testdata".
_SPLITS = {
    split: re.compile(f"({words})(s?daten|data)?(sets?|images?|imgs?|splits?)?")
    for split, words in {
        TRAIN_SPLIT: r"train(ing)?|trn|entrenamiento|entra[iî]nement|apprentissage|treino|treinamento"
        r"|addestramento|训练集?",
        EVAL_SPLIT: r"val(id(ation|ierung|aci[oó]n|a[cç][aã]o|azione)?)?|vld|eval(uation)?|dev(elopment)?|验证集?",
        TEST_SPLIT: r"test(ing|e)?|tst|pruebas?|pr(ü|ue)fung|holdout|测试集?",
    }.items()
}
# They may mean something else, as "VA" does among states: they count beside those of another split.
_SHORT_SPLITS = {"tr": TRAIN_SPLIT, "va": EVAL_SPLIT, "te": TEST_SPLIT, "ts": TEST_SPLIT}
_HOLD_OUT = re.compile(r"hold[ _-]out")
# "01_train", "Training Data Set", "Train Images", "val2017", "test (1)", "train_224x224".
_BESIDE_SPLIT = re.compile(r"data(sets?)?|sets?|images?|imgs?|photos?|pictures?|splits?|folder|v|x|px|\d+")
_SOUND = re.compile(
    r"negative|normal|sound|intact|healthy|good|ok|no|none|clean|background|undamaged|uncracked|u[dpw]"
    r"|(no|non|not|without|un)[ _-]?(cracks?|cracked|damaged?|defects?|defective)",
    re.IGNORECASE,
)
# SDNET2018's, of decks, pavements and walls.
_SDNET_CRACKED = re.compile(r"c[dpw]")
# Classes that only stand together.
_ANSWERS = (frozenset(("0", "1")), frozenset(("yes", "no")), frozenset(("true", "false")))
_MASKS = frozenset(
    ("mask", "masks", "gt", "groundtruth", "truth", "seg", "segmentation", "segmentations", "annotation", "annotations")
)
_MASKS_WITH_IMAGES = _MASKS | {"label", "labels"}
# DeepCrack's "train_lab"; "lab" alone is a laboratory.
_MASKS_OF_SPLITS = frozenset(("lab",))
_BESIDE_MASK = frozenset(("ground", "binary", "png"))
_IMAGES = frozenset(("image", "images", "img", "imgs", "photo", "photos", "rgb", "original", "originals"))
# Names of the DCF standard ("100APPLE", "101_PANA"), and days ("2023-05-01", "20230501").
_CAMERA = re.compile(r"[1-9]\d\d[0-9A-Z_]{5}|DCIM|(19|20)\d\d[ _.-]?[01]\d([ _.-]?[0-3]\d)?", re.IGNORECASE)


# Folders of images that nobody has sorted, or that somebody has put away.
_HEAP = re.compile(
    r"un[ _-]?(label+ed|sorted|clear|sure|classified|known|identified|decided)|misc(ellaneous)?|all|new( folder.*)?|old"
    r"|back[ _-]?ups?|trash|deleted|rejected|duplicates?|te?mp|outputs?|results?|predictions?|augmented|resized"
    r"|thumb(nail)?s|to[ _-]?(do|check|review|sort|label)|maybe|doubtful|questionable|ambiguous|review|not[ _-]?sure"
    r"|unbekannt|unklar|unsortiert|nicht[ _-]?zugeordnet|zu[ _-]?pr(ü|ue)fen|inconnue?s?|non[ _-]?class[eé]e?s?"
    r"|[aà][ _-]?v[eé]rifier|desconocid[oa]s?|sin[ _-]?clasificar|dudos[oa]s?|sconosciut[oaie]|desconhecid[oa]s?"
)
# A class of its own, or what nobody has sorted.
_REST = re.compile(r"others?|rest|remaining|various|sonstige[s]?|andere|autres?|divers|otr[oa]s?|altr[oaie]|outr[oa]s?")

# "Positive - Copy", "Positive (1)", "Positive copy 2", "Positive - Kopie (2)", "Positive (another copy)".
_COPY = re.compile(
    r"([ _-]+\(?(another |\d+(st|nd|rd|th) )?(copy|kopie|copie|c[oó]pia|kopia)\)?([ _]*\d+)?)?([ _]*\(\d+\))?"
)


def plain_name(name: str) -> str:
    """The name in NFC and small letters, without blanks around: names that people take for the same are equal."""
    return fold(name).strip()


def copied_name(name: str) -> str:
    """`plain_name` of the folder of which this one is a copy, by what file managers add to names; "" if of none."""
    plain = plain_name(name)
    starts = (match.start() for match in re.finditer(r"[ _(-]", plain) if _COPY.fullmatch(plain, match.start()))
    return plain[: next(starts, 0)].strip()


def split_of(name: str) -> str:
    """The split that a folder's (or column's) name stands for; "" if it stands for none."""
    if is_short_split(name):
        return _SHORT_SPLITS[plain_name(name)]
    splits = splits_in(name)
    others = [word for word in _words(name) if not _split_of_word(word)]
    alone = all(map(_BESIDE_SPLIT.fullmatch, others))
    return min(splits) if len(splits) == 1 and alone else ""


def is_short_split(name: str) -> bool:
    """Whether the name is two letters that stand for a split, or for something else."""
    return plain_name(name) in _SHORT_SPLITS


def splits_in(name: str) -> frozenset[str]:
    """The splits among the words of a name: of "train_crack" and "traincrack", too."""
    return frozenset(
        split
        for word in _words(name)
        for split, pattern in _SPLITS.items()
        if (match := pattern.match(word)) and (match.end() == len(word) or is_class_name(word[match.end() :]))
    )


def is_class_name(name: str) -> bool:
    """Whether the name says that there is damage, or that there is none."""
    return is_damage(name) or _SOUND.fullmatch(plain_name(name)) is not None


def is_damage(name: str) -> bool:
    """Whether the name says that there is damage."""
    return names_cracks(name) or _SDNET_CRACKED.fullmatch(plain_name(name)) is not None


def are_classes(names: Iterable[str]) -> bool:
    """Whether names say both that there is damage and that there is none, or are yes and no."""
    names = set(names)
    damaged = set(filter(is_damage, names))
    sound = set(filter(is_class_name, names)) - damaged
    return bool(damaged and sound) or frozenset(map(plain_name, names)) in _ANSWERS


def is_heap_name(name: str) -> bool:
    """Whether the name says that the folder is no class, such as "unlabelled" or "backup"."""
    return _HEAP.fullmatch(plain_name(name)) is not None


def is_rest_name(name: str) -> bool:
    """Whether the name says that the folder holds all the rest, such as "other"."""
    return _REST.fullmatch(plain_name(name)) is not None


def is_camera_name(name: str) -> bool:
    """Whether a camera, or the day, gave the folder its name."""
    return _CAMERA.fullmatch(plain_name(name)) is not None


def mask_folders(names: Iterable[str]) -> list[str]:
    """Those of neighbouring folders that hold masks of the images in others; "labels" only beside "images"."""
    words = {name: frozenset(_words(name)) for name in names}
    beside_images = any(found & _IMAGES for found in words.values())
    masks = [name for name, found in words.items() if _are_mask_words(found, beside_images)]
    return masks if len(masks) < len(words) else []


def _are_mask_words(words: frozenset[str], beside_images: bool) -> bool:
    """Whether all words say that there are masks: "mask photos" do, and "mask factory" does not."""
    of_splits = frozenset(filter(_split_of_word, words))
    masks = _MASKS_WITH_IMAGES if beside_images else _MASKS
    if beside_images and of_splits:
        masks |= _MASKS_OF_SPLITS
    others = words - masks - of_splits - _IMAGES - _BESIDE_MASK
    return not masks.isdisjoint(words) and all(word.isdecimal() for word in others)


def _words(name: str) -> list[str]:
    """The words and numbers of a name, in small letters."""
    parted = plain_name(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    return re.findall(r"[^\W\d_]+|\d+", _HOLD_OUT.sub("holdout", parted))


def _split_of_word(word: str) -> str:
    return next((split for split, pattern in _SPLITS.items() if pattern.fullmatch(word)), "")
