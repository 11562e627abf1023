"""`--fail-on`: labels that make a script stop. Without heavy imports."""

from collections.abc import Sequence

from crackgate.contracts.class_names import match_class
from crackgate.model.positive_classes import names_cracks


class UnknownLabelError(ValueError):
    """A label that the model never gives."""


def resolve_labels(wanted: Sequence[str], classes: Sequence[str], positive_classes: Sequence[str]) -> frozenset[str]:
    """Returns the classes that labels stand for; raises UnknownLabelError for one that the model has not.

    A name of cracks, such as "positive" or "crack", stands for all positive classes, unless a class has that very name.
    """
    found = set()
    for label in wanted:
        if named := match_class(label, classes):
            found.update(named)
        elif positive_classes and names_cracks(label):
            found.update(positive_classes)
        else:
            also = f", and 'crack' for {' and '.join(map(repr, positive_classes))}" if positive_classes else ""
            raise UnknownLabelError(
                f"--fail-on: received {label!r}, which this model never gives; "
                f"allowed are {', '.join(map(repr, classes))}{also}"
            )
    return frozenset(found)
