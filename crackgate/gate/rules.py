"""The gate's requirements from the configuration, without heavy imports."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from crackgate.config.configuration import ConfigError
from crackgate.config.gate import GateOptions, RequireOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES


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
        """Label of the rule's class; None for all classes."""
        return None if self.label is None else classes.index(self.label)


def gate_rules(classes: list[str], positive: str | None, gate: GateOptions) -> list[Rule]:
    """Returns all rules for these classes in label order.

    1. The model has seen no test image in training, and all scores are numbers.
    2. Accuracy, and AUC, precision and recall of each class, reach their bounds on all test images.
    3. Accuracy, and recall of the positive class (else of each), keep up with the baseline.
    4. `gate.require` adds rules; none of its metrics may fall by more than `gate.max_slice_drop`.

    Raises:
        ConfigError: A requirement names an unknown class or slice.
    """
    rules = [Rule(metric, None, ALL_IMAGES, 0, "at most") for metric in metric_names.COUNTS]
    rules.append(Rule(metric_names.ACCURACY, None, ALL_IMAGES, gate.min_accuracy, "at least"))
    for metric, lowest in ((metric_names.AUC, gate.min_auc), (metric_names.PRECISION, gate.min_precision)):
        rules += [Rule(metric, label, ALL_IMAGES, lowest, "at least") for label in classes]
    for label in classes:
        judged_by = gate.positive_recall_by if label == positive else "estimate"
        rules.append(Rule(metric_names.RECALL, label, ALL_IMAGES, gate.min_recall, "at least", judged_by=judged_by))
    rules.append(_drop(metric_names.ACCURACY, None, ALL_IMAGES, gate.max_accuracy_drop))
    for label in classes if positive is None else [positive]:
        rules.append(_drop(metric_names.RECALL, label, ALL_IMAGES, gate.max_recall_drop))
    for position, require in enumerate(gate.require):
        _check(f"gate.require.{position}", require, classes)
        rules += _required(require, positive, gate)
    return list(dict.fromkeys(rules))


def all_slices(classes: list[str]) -> list[str]:
    """Every slice's name, `ALL_IMAGES` first."""
    return [ALL_IMAGES, *map(metric_names.class_slice, classes), *metric_names.QUALITY_SLICES]


def _required(require: RequireOptions, positive: str | None, gate: GateOptions) -> Iterator[Rule]:
    label = require.label or None
    min_images = 0 if require.slice == ALL_IMAGES else gate.min_images
    about = (require.metric, label, require.slice)
    by_bound = require.judged_by == "bound" or (
        require.judged_by is None
        and require.metric == metric_names.RECALL
        and label == positive
        and gate.positive_recall_by == "lower bound"
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


def _check(path: str, require: RequireOptions, classes: list[str]) -> None:
    if require.label and require.label not in classes:
        raise ConfigError(f"{path}.label: received {require.label!r}, allowed are {', '.join(map(repr, classes))}")
    if require.slice not in all_slices(classes):
        allowed = ", ".join(map(repr, all_slices(classes)))
        raise ConfigError(f"{path}.slice: received {require.slice!r}, allowed are {allowed}")
