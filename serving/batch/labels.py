"""`--fail-on`: answers that make a script stop. Without heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass

from crackgate.contracts.card import ReleaseCard
from crackgate.contracts.class_names import match_class
from crackgate.model.positive_classes import names_cracks

UNFAMILIAR = "unfamiliar"


class UnknownLabelError(ValueError):
    """A label that the model never gives."""


@dataclass(frozen=True)
class FailOn:
    """Images that make a script stop: of these classes, and with `unfamiliar` those unlike the training images."""

    labels: frozenset[str]
    unfamiliar: bool


def resolve_labels(wanted: Sequence[str], card: ReleaseCard) -> FailOn:
    """Returns what labels stand for; raises UnknownLabelError for one that the model has not.

    A name of cracks, such as "positive" or "crack", stands for all positive classes, and "unfamiliar" for images
    unlike the training images, unless a class has that very name.
    """
    classes, positive_classes = card.classes, card.positive_classes
    found, unfamiliar = set(), False
    for label in wanted:
        if named := match_class(label, classes):
            found.update(named)
        elif positive_classes and names_cracks(label):
            found.update(positive_classes)
        elif label.casefold() == UNFAMILIAR:
            unfamiliar = True
            if card.familiarity is None:
                raise UnknownLabelError(
                    f"--fail-on {UNFAMILIAR}: this release does not know its training images, so it cannot tell: "
                    "train and release anew"
                )
        else:
            also = f", and 'crack' for {' and '.join(map(repr, positive_classes))}" if positive_classes else ""
            raise UnknownLabelError(
                f"--fail-on: received {label!r}, which this model never gives; "
                f"allowed are {', '.join(map(repr, classes))}, {UNFAMILIAR!r}{also}"
            )
    return FailOn(frozenset(found), unfamiliar)
