"""`--fail-on`: labels that make a script stop. Without heavy imports."""

from collections.abc import Sequence

from crackgate.model.positive_class import LIKELY_NAMES


class UnknownLabelError(ValueError):
    """A label that the model never gives."""


def resolve_labels(wanted: Sequence[str], classes: Sequence[str], positive_class: str | None) -> frozenset[str]:
    """Returns the classes that labels stand for; raises UnknownLabelError for one that the model has not.

    "positive", "crack", "cracks" and "cracked", in any case, stand for the positive class, unless a class has that very
    name.
    """
    found = set()
    for label in wanted:
        if label in classes:
            found.add(label)
        elif positive_class is not None and LIKELY_NAMES.fullmatch(label):
            found.add(positive_class)
        else:
            also = "" if positive_class is None else f", and 'crack' for {positive_class!r}"
            raise UnknownLabelError(
                f"--fail-on: received {label!r}, which this model never gives; "
                f"allowed are {', '.join(map(repr, classes))}{also}"
            )
    return frozenset(found)
