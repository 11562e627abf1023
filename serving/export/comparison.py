"""Networks side by side on the same photographs: the gate's metrics, agreement with the first of them, and speed."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crackgate.config.gate import GateOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Requirement
from crackgate.gate.judgement import judge
from crackgate.gate.measurement import Measurement, measure, measure_changes
from crackgate.gate.metrics import ScoredImages
from crackgate.gate.rules import Rule
from crackgate.model.decision import Decision, decide
from serving.export.photographs import Chunk

# From float32 (images, size, size, 3) to float32 (images, classes).
Score = Callable[[np.ndarray], np.ndarray]

_TIMED_ROUNDS = 2


@dataclass(frozen=True)
class MeasuredNetwork:
    """The gate's metrics of one network, and how it differs from the first one.

    Attributes:
        agreement: Share of the photographs that get the label that the first network gives, 0 to 1.
        largest_difference: The largest of a score from the first network's; NaN where one is no number.
        images_per_second: The network alone, one image at a time: one over the median time for one.
    """

    measurement: Measurement
    agreement: float
    largest_difference: float
    images_per_second: float


def compare_networks(
    networks: Mapping[str, Score], photographs: Iterable[Chunk], decision: Decision | None, gate: GateOptions
) -> dict[str, MeasuredNetwork]:
    """Scores all photographs, one at least, by all networks, and holds them against the first one.

    All networks get the model's own decision; without one, the highest score decides.
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
    scored = {name: _decided(truth, np.concatenate(parts), decision) for name, parts in scores.items()}
    first = next(iter(scored.values()))
    return {
        name: MeasuredNetwork(
            measurement=measure(each, seen=None, gate=gate),
            agreement=float((each.decisions == first.decisions).mean()),
            largest_difference=_largest_difference(each.scores, first.scores),
            images_per_second=speeds[name],
        )
        for name, each in scored.items()
    }


def judge_network(
    rules: Sequence[Rule], network: MeasuredNetwork, original: MeasuredNetwork, classes: list[str], gate: GateOptions
) -> list[Requirement]:
    """Judges a converted network by the gate's rules on all images; changes are from the original network.

    The rule on images seen in training is left out: it is about the model, and not about its conversion.
    """
    baseline = original.measurement
    changes = measure_changes(network.measurement, baseline, gate)
    return [
        judge(rule, rule.position(classes), network.measurement.metrics | changes, baseline.metrics)
        for rule in rules
        if rule.slice == ALL_IMAGES and rule.metric != metric_names.SEEN_IN_TRAINING
    ]


def _decided(labels: np.ndarray, scores: np.ndarray, decision: Decision | None) -> ScoredImages:
    # The decision is made in float32, as served.
    positives = () if decision is None else decision.labels
    return ScoredImages(labels, decide(scores, decision).astype(np.int64), scores.astype(np.float64), positives)


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


def _largest_difference(scores: np.ndarray, others: np.ndarray) -> float:
    """The largest of any score, both (images, classes); NaN where one is no number."""
    with np.errstate(invalid="ignore"):
        return float(np.abs(scores - others).max())
