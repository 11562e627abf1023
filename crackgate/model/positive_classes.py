"""The classes that must not be missed. Without heavy imports, so that a wrong name is refused at once."""

import re
import unicodedata
from collections.abc import Sequence

from crackgate.contracts.class_names import fold, match_class
from crackgate.contracts.positive_names import POSITIVE, PositiveClasses


def _plain(text: str) -> str:
    """In lower case and without accents, which many leave out of a folder's name."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


# Words that make a name one of cracks or damage: English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish,
# Polish, Turkish, Russian, Chinese, Japanese, Korean.
_CORES = frozenset(
    _plain(
        """
        positive pos crack cracks cracked cracking damage damages damaged defect defects defective
        riss risse rissen rissig rissige gerissen haarriss haarrisse beschädigt beschaedigt schäden schaeden defekt
        fissure fissures fissuré fissurée fissurés fissurées microfissure microfissures lézarde lézardes lézardé
        endommagé endommagée défaut défauts
        grieta grietas agrietado agrietada agrietados agrietadas fisura fisuras fisurado fisurada dañado dañada
        defecto defectos crepa crepe fessura fessure fessurato fessurata danneggiato danneggiata difetto difetti
        fissura fissuras fissurado fissurada rachadura rachaduras trinca trincas trincado danificado defeito defeitos
        scheur scheuren gescheurd barst barsten beschadigd spricka sprickor pęknięcie pęknięcia çatlak çatlaklar
        трещина трещины 裂缝 裂縫 裂纹 有裂缝 ひび割れ 亀裂 균열
        """
    ).split()
)
# Words that may stand beside them. Any other word, such as "no", "sealed" or "false", may turn the sense.
_QUALIFIERS = frozenset(
    _plain(
        """
        with has have contains containing present of in mit avec con com met
        hair line hairline fine thin narrow wide broad large big small deep shallow micro macro minor moderate medium
        severe surface structural longitudinal transverse transversal vertical horizontal diagonal linear alligator
        block fatigue shrinkage concrete wall walls pavement road asphalt deck bridge masonry brick mortar plaster stone
        beton image images img photo photos picture pictures sample samples tile tiles patch patches class type region
        """
    ).split()
)
# SDNET2018's cracked decks, pavements and walls, and the uncracked ones. Without these, the names may mean anything.
_COUNTERPARTS = {"cd": "ud", "cp": "up", "cw": "uw"}


def resolve_positive_classes(configured: Sequence[str], classes: Sequence[str]) -> PositiveClasses:
    """Finds the positive classes, in the order of `classes`; without any, the highest score is to decide.

    Args:
        configured: `train.positive_classes`, compared in NFC without regard to case; empty: all that `names_cracks`
            knows, and SDNET2018's.
        classes: All class names; fewer than two have no positive one.

    Raises:
        ValueError: There is no such class, all are positive, or one of several has the name of all together.
    """
    if len(classes) < 2:
        return PositiveClasses()
    names = _configured(configured, classes) if configured else _recognised(classes)
    if not names:
        return PositiveClasses()
    said = ", ".join(map(repr, names))
    if len(names) == len(classes):
        raise ValueError(f"train.positive_classes: received {said}, which are all; {_allowed(classes)}, not all")
    if len(names) > 1 and match_class(POSITIVE, classes):
        raise ValueError(
            f"train.positive_classes: received {said}; {POSITIVE!r} is the name of several together: rename that folder"
        )
    return PositiveClasses(names=names, chosen_by="configuration" if configured else "names")


def names_cracks(name: str) -> bool:
    """Tells whether a class of this name certainly shows cracks or damage: "hairline crack", not "no crack"."""
    words = re.findall(r"[^\W_]+", _plain(re.sub("(?<=[a-z])(?=[A-Z])", " ", name)))
    # Leading numbers only put folders in order; "0 cracks" may be a count.
    if words and words[0].isdecimal() and int(words[0]):
        words = words[1:]
    return not _CORES.isdisjoint(words) and all(word in _CORES or word in _QUALIFIERS for word in words)


def _recognised(classes: Sequence[str]) -> tuple[str, ...]:
    folded = set(map(fold, classes))
    return tuple(name for name in classes if names_cracks(name) or _COUNTERPARTS.get(fold(name)) in folded)


def _configured(configured: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    meant = {name: match_class(name, classes) for name in configured}
    if unknown := [name for name, found in meant.items() if not found]:
        said = ", ".join(map(repr, unknown))
        raise ValueError(f"train.positive_classes: received {said}, which is no class; {_allowed(classes)}")
    for name, found in meant.items():
        if len(found) > 1:
            said = " or ".join(map(repr, found))
            raise ValueError(f"train.positive_classes: received {name!r}, which may be {said}: write it exactly")
    return tuple(name for name in classes if [name] in meant.values())


def _allowed(classes: Sequence[str]) -> str:
    return f"allowed are some of {', '.join(map(repr, classes))}"
