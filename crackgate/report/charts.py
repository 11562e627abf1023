"""The report's charts, each for a light and a dark page."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crackgate.contracts.evaluation import Evaluation, ReliabilityBin, ThresholdPoint
from crackgate.pages.chart_style import SERIES, Colour, draw_chart
from crackgate.report.content import Training

Corner = Literal["lower left", "lower right"]

# Inches.
_SQUARE = (4.6, 3.9)
_WIDE = (4.6, 3.2)


def precision(point: ThresholdPoint) -> float | None:
    """Share of the images called positive that are; None where none is called so."""
    return _share(point.true_positives, point.false_positives)


def recall(point: ThresholdPoint) -> float | None:
    """Share of the positive images that are called so; None where there is none."""
    return _share(point.true_positives, point.false_negatives)


def false_positive_rate(point: ThresholdPoint) -> float | None:
    """Share of the other images that are called positive; None where there is none."""
    return _share(point.false_positives, point.true_negatives)


def f1(point: ThresholdPoint) -> float | None:
    """Harmonic mean of precision and recall, as 2 TP / (2 TP + FP + FN)."""
    return _share(2 * point.true_positives, point.false_positives + point.false_negatives)


def chosen_point(evaluation: Evaluation) -> ThresholdPoint | None:
    """The model's own threshold, counted by its own decisions; None where the highest score decides."""
    if evaluation.threshold is None or not evaluation.positive_classes:
        return None

    def count(positive: bool, flagged: bool) -> int:
        return sum(
            images
            for actual, given in evaluation.confusion.items()
            for label, images in given.items()
            if ((actual in evaluation.positive_classes), (label in evaluation.positive_classes)) == (positive, flagged)
        )

    return ThresholdPoint(
        threshold=evaluation.threshold,
        true_positives=count(True, True),
        false_positives=count(False, True),
        true_negatives=count(False, False),
        false_negatives=count(True, False),
    )


def all_points(evaluation: Evaluation) -> list[ThresholdPoint]:
    """The curve by rising threshold, with the model's own; bounded, whatever the number of images."""
    chosen = chosen_point(evaluation)
    if chosen is None or not evaluation.curve:
        return evaluation.curve
    others = [point for point in evaluation.curve if point.threshold != chosen.threshold]
    return sorted([*others, chosen], key=lambda point: point.threshold)


def draw_precision_recall(curve: list[ThresholdPoint], chosen: ThresholdPoint | None) -> dict[str, str]:
    """Precision over recall, a point per threshold."""
    points = [(recall(point), precision(point)) for point in curve]
    mark = (recall(chosen), precision(chosen)) if chosen else None
    return _draw_curve(points, mark, "recall", "precision", diagonal=False)


def draw_roc(curve: list[ThresholdPoint], chosen: ThresholdPoint | None) -> dict[str, str]:
    """Recall over false positive rate, a point per threshold."""
    points = [(false_positive_rate(point), recall(point)) for point in curve]
    mark = (false_positive_rate(chosen), recall(chosen)) if chosen else None
    return _draw_curve(points, mark, "false positive rate", "recall", diagonal=True)


def draw_sweep(curve: list[ThresholdPoint], threshold: float | None) -> dict[str, str]:
    """Precision, recall and F1 over the threshold, the model's own as a line."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        lines = (("precision", precision, "-"), ("recall", recall, "--"), ("F1", f1, ":"))
        for colour, (name, measure, style) in zip(SERIES, lines, strict=True):
            axes.plot(*_known([(point.threshold, measure(point)) for point in curve]), style, color=colour, label=name)
        if threshold is not None:
            axes.axvline(threshold, color=Colour.MARK, linewidth=1.2, label=f"threshold {threshold:.3f}")
        _finish(axes, "threshold", "", legend="lower left")

    return draw_chart(_SQUARE, draw)


def draw_reliability(bins: list[ReliabilityBin]) -> dict[str, str]:
    """How often a score is right: share of positive images over mean score, and how many images there are."""

    def draw(figure: Figure) -> None:
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=Colour.LINE, linewidth=1, linestyle=":", label="perfect")
        filled = [row for row in bins if row.images]
        scores, shares = [row.mean_score for row in filled], [row.share_positive for row in filled]
        axes.plot(scores, shares, marker="o", color=Colour.FIRST, label="model", clip_on=False)
        _finish(axes, "", "share that is positive", legend="lower right")
        counts.vlines(scores, 0, [row.images for row in filled], color=Colour.BARS, linewidth=6)
        counts.set_yscale("symlog", linthresh=1)
        counts.set_ylim(bottom=0)
        counts.set(xlabel="mean score", ylabel="images")

    return draw_chart(_SQUARE, draw)


def draw_training(training: Training, measure: str) -> dict[str, str]:
    """A measure of train and eval per epoch, the stages one after the other."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        lines = (("train", "", "-"), ("eval", "val_", "--"))
        for colour, (name, prefix, style) in zip(SERIES, lines, strict=False):
            values = [
                value for stage in (training.head, training.fine_tune) for value in stage.get(prefix + measure, [])
            ]
            axes.plot(range(1, len(values) + 1), values, style, marker=".", color=colour, label=name)
        if training.fine_tune:
            start = len(training.head["loss"]) + 0.5
            axes.axvline(start, color=Colour.LINE, linestyle=":", label="fine-tuning starts")
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        # A place that is sought ("best") takes its time, which Matplotlib warns of on a busy machine.
        axes.legend(loc="upper right" if measure == "loss" else "lower right")

    return draw_chart(_WIDE, draw)


def _draw_curve(
    points: list[tuple[float | None, float | None]],
    mark: tuple[float | None, float | None] | None,
    x_name: str,
    y_name: str,
    diagonal: bool,
) -> dict[str, str]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        if diagonal:
            axes.plot([0, 1], [0, 1], color=Colour.LINE, linewidth=1, linestyle=":", label="chance")
        axes.plot(*_known(points), color=Colour.FIRST, label="model")
        if mark is not None:
            axes.plot(*_known([mark]), "o", color=Colour.MARK, label="at the threshold", clip_on=False, zorder=3)
        _finish(axes, x_name, y_name, legend="lower right" if diagonal else "lower left")

    return draw_chart(_SQUARE, draw)


def _finish(axes: Axes, x_name: str, y_name: str, legend: Corner) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x_name, ylabel=y_name)
    axes.legend(loc=legend)


def _known(points: Sequence[tuple[float | None, float | None]]) -> tuple[list[float], list[float]]:
    """The points of which both coordinates are known, as coordinates."""
    known = [(x, y) for x, y in points if x is not None and y is not None]
    return [x for x, _ in known], [y for _, y in known]


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest else None
