"""The gate's requirements from the configuration, without heavy imports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from crackgate.config.configuration import ConfigError
from crackgate.config.gate import GateOptions, RequireOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.contracts.positive_names import POSITIVE


@dataclass(frozen=True)
class Rule:
    """One requirement, before it is held against a model.

    Attributes:
        metric: A name in `metric_names`.
        label: Name of its class; None for all classes.
        slice: `ALL_IMAGES` or the slice's name.
        bound: Limit of the metric or of its change.
        change: Judges the difference from the baseline, in the metric's unit or as a share of the baseline's.
        min_images: Fewer images in the slice (of the class, if any) only warn; no image at all fails.
    """

    metric: str
    label: str | None
    slice: str
    bound: float
    direction: Literal["at least", "at most"]
    change: Literal["", "absolute", "relative"] = ""
    judged_by: Literal["estimate", "lower bound", "upper bound"] = "estimate"
    min_images: int = 0

    @property
    def measured(self) -> str:
        """Name of the judged metric, or of its change."""
        return self.metric + (metric_names.CHANGE if self.change else "")

    @property
    def name(self) -> str:
        """Unique within one gate, and readable in TFMA's views."""
        about = f"of {self.label}" if self.label else ""
        parts = [self.change, self.measured, self.judged_by, about, f"in {self.slice}", self.direction]
        return " ".join(part for part in (*parts, repr(self.bound)) if part)

    def position(self, classes: list[str]) -> int | None:
        """Label of the rule's class, as in `metrics.Key`; None for all classes."""
        return None if self.label is None else [*classes, POSITIVE].index(self.label)


def gate_rules(classes: Sequence[str], positive_classes: Sequence[str], gate: GateOptions) -> list[Rule]:
    """Returns all rules for these classes in label order; `positive_classes` are some of them.

    1. The model has seen no test image in training, and all scores are numbers.
    2. Accuracy, and AUC, precision and recall of each class, reach their bounds on all test images.
    3. Accuracy, and recall of the positive class (else of each), keep up with the baseline.
    4. Several positive classes are one more class, `POSITIVE`, in 2 and 3. The share of each that is called positive
       reaches the bound of recall, and keeps up, too: good recall of all may hide that every hairline is missed.
    5. `gate.require` adds rules; none of its metrics may fall by more than `gate.max_slice_drop`.

    Raises:
        ConfigError: A requirement names an unknown class or slice.
    """
    protected = protected_recalls(positive_classes)
    labels = [*classes, POSITIVE] if len(positive_classes) > 1 else classes
    rules = [Rule(metric, None, ALL_IMAGES, 0, "at most") for metric in metric_names.COUNTS]
    rules.append(Rule(metric_names.ACCURACY, None, ALL_IMAGES, gate.min_accuracy, "at least"))
    for metric, lowest in ((metric_names.AUC, gate.min_auc), (metric_names.PRECISION, gate.min_precision)):
        rules += [Rule(metric, label, ALL_IMAGES, lowest, "at least") for label in labels]
    for key in dict.fromkeys([*((metric_names.RECALL, label) for label in labels), *protected]):
        judged_by = gate.positive_recall_by if key in protected else "estimate"
        rules.append(Rule(*key, ALL_IMAGES, gate.min_recall, "at least", judged_by=judged_by))
    rules.append(_drop(metric_names.ACCURACY, None, ALL_IMAGES, gate.max_accuracy_drop))
    kept = protected or [(metric_names.RECALL, label) for label in classes]
    rules += [_drop(*key, ALL_IMAGES, gate.max_recall_drop) for key in kept]
    for position, require in enumerate(gate.require):
        _check(f"gate.require.{position}", require, classes, positive_classes)
        rules += _required(require, protected, gate)
    return list(dict.fromkeys(rules))


def protected_recalls(positive_classes: Sequence[str]) -> list[tuple[str, str]]:
    """Metric and label of the recalls that `gate.positive_recall_by` is about."""
    if len(positive_classes) < 2:
        return [(metric_names.RECALL, label) for label in positive_classes]
    return [(metric_names.RECALL, POSITIVE), *((metric_names.POSITIVE_RECALL, label) for label in positive_classes)]


def all_slices(classes: Sequence[str]) -> list[str]:
    """Every slice's name, `ALL_IMAGES` first."""
    return [ALL_IMAGES, *map(metric_names.class_slice, classes), *metric_names.QUALITY_SLICES]


def _required(require: RequireOptions, protected: list[tuple[str, str]], gate: GateOptions) -> Iterator[Rule]:
    label = require.label or None
    min_images = 0 if require.slice == ALL_IMAGES else gate.min_images
    about = (require.metric, label, require.slice)
    by_bound = require.judged_by == "bound" or (
        require.judged_by is None and (require.metric, label) in protected and gate.positive_recall_by == "lower bound"
    )
    if require.min is not None:
        judged_by: Literal["lower bound", "estimate"] = "lower bound" if by_bound else "estimate"
        yield Rule(*about, require.min, "at least", judged_by=judged_by, min_images=min_images)
    if require.max is not None:
        yield Rule(
            *about, require.max, "at most", judged_by="upper bound" if by_bound else "estimate", min_images=min_images
        )
    drop = gate.max_slice_drop if require.max_drop is None else require.max_drop
    if require.max_relative_drop is None or require.max_drop is not None:
        yield _drop(*about, drop, min_images=min_images)
    if require.max_relative_drop is not None:
        yield _drop(*about, require.max_relative_drop, relative=True, min_images=min_images)


def _drop(
    metric: str, label: str | None, part: str, allowed: float, relative: bool = False, min_images: int = 0
) -> Rule:
    """Allows a change for the worse of at most `allowed`."""
    rises = metric in metric_names.LESS_IS_BETTER
    return Rule(
        metric,
        label,
        part,
        allowed if rises else -allowed,
        "at most" if rises else "at least",
        change="relative" if relative else "absolute",
        min_images=min_images,
    )


def _check(path: str, require: RequireOptions, classes: Sequence[str], positive_classes: Sequence[str]) -> None:
    several = len(positive_classes) > 1
    if require.metric == metric_names.POSITIVE_RECALL:
        allowed_labels = positive_classes if several else ()
    else:
        allowed_labels = [*classes, POSITIVE] if several else classes
    if require.label and require.label not in allowed_labels:
        said = ", ".join(map(repr, allowed_labels)) or "none: recall says the same without several positive classes"
        raise ConfigError(f"{path}.label: received {require.label!r}, allowed for {require.metric} are {said}")
    if require.slice not in all_slices(classes) and not require.slice.startswith(metric_names.PART_SLICE):
        allowed = ", ".join(map(repr, [*all_slices(classes), metric_names.part_slice("FOLDER")]))
        raise ConfigError(f"{path}.slice: received {require.slice!r}, allowed are {allowed}")
