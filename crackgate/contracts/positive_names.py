"""The positive classes, which must not be missed: their names in cards and records, their common label, their words."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

# The label of several positive classes together, for metrics that are about all of them.
POSITIVE = "positive"


def _as_names(value: Any) -> Any:
    """Records of earlier versions hold one name, or null."""
    if value is None or isinstance(value, str):
        return () if value is None else (value,)
    return tuple(value) if isinstance(value, list) else value


# A field `positive_classes`, in label order; empty: the highest score decides. `positive_class` is its earlier name.
PositiveNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_names),
    Field(validation_alias=AliasChoices("positive_classes", "positive_class")),
]


class PositiveClasses(BaseModel):
    """The positive classes of a run, in label order, and what they were chosen by; None: there are none."""

    names: tuple[str, ...] = ()
    chosen_by: Literal["configuration", "names", "card"] | None = None

    def in_words(self, classes: Sequence[str]) -> str:
        """Says of all classes which are positive, and what to do if that is wrong."""
        others = _listed([name for name in classes if name not in self.names])
        if not self.names:
            return (
                f"no class of {others} counts as positive: nothing is protected from being missed, and 'inspect' has "
                "nothing to look for; set train.positive_classes to the classes of cracks"
            )
        by = {"configuration": "as configured", "names": "by name", "card": "as the model's card says"}
        hint = "; if that is wrong, set train.positive_classes" if self.chosen_by == "names" else ""
        said = by[self.chosen_by or "names"]
        return f"positive, so not to be missed: {_listed(self.names)} ({said}); not positive: {others}{hint}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(map(repr, names[:-1])), *map(repr, names[-1:])]))


def positive_label(names: Sequence[str]) -> str | None:
    """The label of metrics about being positive: the one class, `POSITIVE` for several, None for none."""
    return POSITIVE if len(names) > 1 else next(iter(names), None)


def say_score(names: Sequence[str]) -> str:
    """The score that the threshold is held against: "score of Crack", "summed scores of Hairline and Wide"."""
    return f"{'summed scores' if len(names) > 1 else 'score'} of {' and '.join(names)}"


def say_rule(names: Sequence[str], threshold: float) -> str:
    """The decision: "'Crack' from a score of 0.4 on", "'Hairline' or 'Wide' from a summed score of 0.4 on"."""
    summed = "summed " if len(names) > 1 else ""
    return f"{' or '.join(map(repr, names))} from a {summed}score of {threshold:.4g} on"
