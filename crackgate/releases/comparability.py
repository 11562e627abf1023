"""Whether a model may follow the version in production: only models of the same classes can be compared."""

from collections.abc import Sequence
from pathlib import Path

from crackgate.contracts.card import CardError, find_card
from crackgate.contracts.class_names import compose
from crackgate.releases.versions import production_version


def find_other_classes(serving_dir: Path, classes: Sequence[str]) -> str:
    """A sentence that says so if the version in production has other classes, in label order; else ""."""
    folder = production_version(serving_dir)
    try:
        card = folder and find_card(folder)
    except CardError:
        # Who reads the model says what is wrong with it.
        return ""
    if not folder or not card or _are_same(card.classes, classes):
        return ""
    return (
        f"version {folder.name}, which is in production, has the classes {_named(card.classes)}, and these images have "
        f"{_named(classes)}: neither images nor metrics can be compared with it; name the class folders as they were, "
        "choose another --workspace, or allow it by --set release.allow_other_classes=true"
    )


def has_classes(folder: Path, classes: Sequence[str]) -> bool:
    """Whether a version has these classes, in label order; raises CardError if its card cannot be read."""
    card = find_card(folder)
    return card is not None and _are_same(card.classes, classes)


def _are_same(some: Sequence[str], others: Sequence[str]) -> bool:
    return list(map(compose, some)) == list(map(compose, others))


def _named(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes))
