"""What networks are worth on the same photographs: the release gate's figures, agreement with the first, and speed."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from crackgate.contracts import metric_names
from crackgate.gate.intervals import proportion_interval
from crackgate.gate.metrics import Answers, Key, compute_figures, count_confusion
from crackgate.model.decision import Decision, decide
from serving.lite.photographs import Chunk

# From float32 (images, size, size, 3) to float32 (images, classes).
Score = Callable[[np.ndarray], np.ndarray]

_TIMED_ROUNDS = 2


@dataclass(frozen=True)
class FigureOptions:
    """How figures are computed; see `GateOptions`, which has the same fields.

    Attributes:
        confidence: Of the intervals, 0 to 1.
        fixed_precision: Where `recall_at_precision` is read off, 0 to 1.
        fixed_recall: Where `precision_at_recall` is read off, 0 to 1.
    """

    confidence: float
    fixed_precision: float
    fixed_recall: float


@dataclass(frozen=True)
class Judged:
    """One network.

    Attributes:
        figures: By name in `names` and label. Accuracy, precision and recall with the ends of their exact intervals.
            All NaN where a score is no number.
        agreement: Share of the photographs that get the label that the first network gives, 0 to 1.
        largest_difference: Of a score from the first network's; NaN where one is no number.
        images_per_second: Of the network alone, one image at a time: one over the median time for one.
    """

    figures: dict[Key, float]
    agreement: float
    largest_difference: float
    images_per_second: float


def judge(
    networks: Mapping[str, Score], photographs: Iterable[Chunk], decision: Decision | None, options: FigureOptions
) -> dict[str, Judged]:
    """Scores all photographs by all networks.

    Args:
        networks: By name, the first one being what the others are held against.
        photographs: One at least in all.
        decision: The model's own, for all of them; None: the highest score decides.
        options: Of the figures.
    """
    scores: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    labels: list[np.ndarray] = []
    speeds: dict[str, float] = {}
    for chunk in photographs:
        if not len(chunk.labels):
            continue
        speeds = speeds or _images_per_second(networks, chunk.pixels)
        labels.append(chunk.labels)
        for name, score in networks.items():
            scores[name].append(score(chunk.pixels))
    truth = np.concatenate(labels)
    answers = {name: _answers(truth, np.concatenate(parts), decision) for name, parts in scores.items()}
    first = next(iter(answers.values()))
    return {
        name: Judged(
            figures=_figures(each, options),
            agreement=float((each.decisions == first.decisions).mean()),
            largest_difference=largest_difference(each.scores, first.scores),
            images_per_second=speeds[name],
        )
        for name, each in answers.items()
    }


def largest_difference(scores: np.ndarray, others: np.ndarray) -> float:
    """Of any score, both (images, classes); NaN where one is no number."""
    with np.errstate(invalid="ignore"):
        return float(np.abs(scores - others).max())


def _answers(labels: np.ndarray, scores: np.ndarray, decision: Decision | None) -> Answers:
    # The decision is made in float32, as served.
    return Answers(labels, decide(scores, decision).astype(np.int64), scores.astype(np.float64))


def _images_per_second(networks: Mapping[str, Score], pixels: np.ndarray) -> dict[str, float]:
    """In turns, so that what else the machine does slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for score in networks.values():
        # The first one of all also builds and warms up.
        score(pixels[:1])
    for image in [*pixels] * _TIMED_ROUNDS:
        for name, score in networks.items():
            began = time.perf_counter()
            score(image[np.newaxis])
            seconds[name].append(time.perf_counter() - began)
    return {name: 1 / float(np.median(each)) for name, each in seconds.items()}


def _figures(answers: Answers, options: FigureOptions) -> dict[Key, float]:
    classes, images = answers.scores.shape[1], len(answers.labels)
    keys: list[Key] = [(name, None) for name in metric_names.OVERALL]
    keys += [(name, label) for label in range(classes) for name in metric_names.PER_CLASS]
    figures: dict[Key, float] = {(metric_names.UNUSABLE_SCORES, None): float(answers.unusable)}
    if answers.unusable:
        return figures | dict.fromkeys(keys, math.nan)
    computed = compute_figures(answers, np.ones((1, images)), options.fixed_precision, options.fixed_recall)
    figures |= {key: float(computed[key][0]) for key in keys}
    confusion = count_confusion(answers)
    right = confusion.diagonal()
    shares: dict[Key, tuple[int, int]] = {(metric_names.ACCURACY, None): (right.sum(), images)}
    for label in range(classes):
        shares[metric_names.PRECISION, label] = right[label], confusion[:, label].sum()
        shares[metric_names.RECALL, label] = right[label], confusion[label].sum()
    for (name, about), (found, of) in shares.items():
        low, high = proportion_interval(int(found), int(of), options.confidence)
        figures |= {(name + metric_names.LOW, about): low, (name + metric_names.HIGH, about): high}
    return figures
