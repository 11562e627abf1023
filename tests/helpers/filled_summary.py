"""The summary of a run that came to a verdict on a model, filled in by hand."""

from pathlib import Path

from crackgate.config.configuration import Config
from crackgate.contracts.drift_findings import DriftFindings
from crackgate.contracts.evaluation import (
    ALL_IMAGES,
    Comparison,
    Estimate,
    Evaluation,
    MetricValue,
    Outcome,
    ReliabilityBin,
    Requirement,
    SliceMetrics,
    ThresholdPoint,
)
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.serving_findings import ServingCheckResult, ServingFindings
from crackgate.contracts.threshold_findings import EvalImage, ThresholdFindings
from crackgate.contracts.verdict import Verdict
from crackgate.runs.summary import ComponentTime, Images, Summary, begin_summary

CLASSES = ["Negative", "Positive"]
POSITIVE = "Positive"
CHECKED = ("ImageExampleGen", "DataGate", "DriftCheck", "LeakCheck")


def fill_summary(verdict: Verdict = Verdict.RELEASED, classes: list[str] | None = None) -> Summary:
    """Of 60 test images, half of them positive, of which 27 are found."""
    classes = classes or CLASSES
    positive = PositiveClasses(names=(POSITIVE,), chosen_by="names") if POSITIVE in classes else PositiveClasses()
    summary = begin_summary("20260102-030405", Path("/photographs"), classes, positive, Config(), Path("/w/logs/a.log"))
    summary.judges_only = verdict == Verdict.PASSED
    counts = dict.fromkeys(summary.classes, 30)
    summary.images = Images.model_validate(
        {
            "found": 301,
            "ingested": 300,
            "groups": 290,
            "rejected": [{"path": "Positive/x.jpg", "class": "Positive", "reason": "truncated", "detail": ""}],
            "splits": {"train": counts, "eval": counts, "test": counts},
        }
    )
    summary.images.fingerprint, summary.images.copies, summary.images.leaks = "ab" * 32, 10, 0
    summary.drift = DriftFindings(drift=None, skew={"eval": {"image/quality/brightness": 0.0625}})
    summary.components = [
        ComponentTime(name=name, state="complete", seconds=1.25, peak_memory=3 << 30) for name in CHECKED
    ]
    summary.threshold = fill_threshold()
    summary.evaluation = fill_evaluation()
    summary.serving = ServingFindings(
        passed=True,
        checks=[
            ServingCheckResult(name="empty batch", outcome="passed", detail="answered with nothing"),
            ServingCheckResult(name="TensorFlow Serving", outcome="skipped", detail="there is none on the PATH"),
        ],
        metrics={"p50_ms_one": 16.25, "p99_ms_one": 41.5, "peak_memory_mib": 1812.4},
    )
    if verdict == Verdict.RELEASED:
        summary.pushed_version, summary.pushed_to = 17, "/w/serving/17"
        summary.conclude(verdict, [])
    else:
        summary.conclude(
            verdict,
            ["recall of Positive: 0.9000 (0.8000 to 0.9600), required ≥ 0.9700 by the lower bound, over 60 images"],
        )
    return summary


def fill_threshold() -> ThresholdFindings:
    """On eval, 28 of 30 positive images are found; the recall that was asked for is given up."""
    return ThresholdFindings(
        positive_classes=[POSITIVE],
        threshold=0.4,
        target_recall=0.995,
        least_precision=0.9,
        positives=30,
        found=28,
        precision=0.9655,
        recall=28 / 30,
        given_up=2,
        precision_at_target=0.5085,
        recall_shown=0.8045,
        positives_needed=598,
        lowest_found=EvalImage(path="Positive/edge.jpg", actual=POSITIVE, score=0.45),
        misclassified=3,
        check_labels=[
            EvalImage(path="Positive/<b>sound.jpg", actual=POSITIVE, score=0.0012),
            EvalImage(path="Negative/cracked.jpg", actual="Negative", score=0.9971),
            EvalImage(path="Positive/thin.jpg", actual=POSITIVE, score=0.3125),
        ],
    )


def fill_evaluation() -> Evaluation:
    """One requirement of each kind and outcome; scores of 0.1, 0.2, ... 0.9."""
    return Evaluation(
        positive_classes=(POSITIVE,),
        threshold=0.4,
        requirements=[
            requirement("seen_in_training", Outcome.PASSED, value=0, bound=0, direction="at most"),
            requirement("recall", Outcome.PASSED, label=POSITIVE, value=0.9, low=0.8, high=0.96, bound=0.75),
            requirement("accuracy", Outcome.PASSED, value=0.0125, bound=-0.01, change="absolute", baseline=0.85),
            requirement("recall", Outcome.WARNED, label=POSITIVE, value=0.5, bound=0.97, slice="dark", images=4),
        ],
        slices=[
            SliceMetrics(
                name=ALL_IMAGES,
                images=60,
                metrics=[
                    MetricValue(metric="accuracy", value=0.8625, low=0.8, high=0.92),
                    MetricValue(metric="log_loss", value=None),
                    MetricValue(metric="recall", label=POSITIVE, value=0.9, low=0.8, high=0.96),
                ],
                baseline=[MetricValue(metric="accuracy", value=0.85)],
            ),
            SliceMetrics(name="dark", images=4, metrics=[MetricValue(metric="accuracy", value=0.5)]),
        ],
        confusion={"Negative": {"Negative": 25, "Positive": 5}, "Positive": {"Negative": 3, "Positive": 27}},
        comparison=Comparison(only_candidate_right=5, only_baseline_right=2, p_value=0.453),
        curve=[
            ThresholdPoint(
                threshold=step / 10,
                true_positives=30 - step,
                false_positives=30 - 3 * step,
                true_negatives=3 * step,
                false_negatives=step,
            )
            for step in range(11)
        ],
        reliability=[ReliabilityBin(mean_score=step / 10, share_positive=step / 10, images=step) for step in range(10)],
    )


def requirement(metric: str, outcome: Outcome, **fields: object) -> Requirement:
    """A requirement of all 60 images, by the estimate, unless `fields` say otherwise."""
    estimate = Estimate(value=fields.pop("value"), low=fields.pop("low", None), high=fields.pop("high", None))
    baseline = fields.pop("baseline", None)
    defaults: dict[str, object] = {"images": 60, "direction": "at least", "judged_by": "estimate"}
    return Requirement.model_validate(
        {
            **defaults,
            **fields,
            "metric": metric,
            "outcome": outcome,
            "estimate": estimate,
            "baseline": None if baseline is None else Estimate(value=baseline),
        }
    )
