"""Names of classes as people write them: in any case, and with accents in any form of Unicode."""

import unicodedata
from collections.abc import Sequence


def match_class(name: str, classes: Sequence[str]) -> list[str]:
    """The classes that a name stands for: the one of exactly this name, else those that are equal when folded."""
    return [name] if name in classes else [each for each in classes if fold(each) == fold(name)]


def fold(name: str) -> str:
    """The name in NFC and without regard to case. macOS writes NFD, most keyboards NFC."""
    return compose(compose(name).casefold())


def compose(name: str) -> str:
    """The name in NFC: names that look alike are equal."""
    return unicodedata.normalize("NFC", name)
