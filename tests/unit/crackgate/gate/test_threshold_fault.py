"""A refusal says that only the threshold is wrong when another one would have passed, and never otherwise."""

import numpy as np
import pytest

from crackgate.contracts.evaluation import Evaluation, Outcome, Requirement
from crackgate.contracts.verdict import Verdict
from crackgate.gate.threshold_fault import say_threshold_fault
from crackgate.runs.conclusion import conclude
from crackgate.runs.lineage import Artifact, Execution
from tests.helpers.filled_summary import fill_summary, requirement

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
AUC = requirement("auc", PASSED, label="Positive", value=0.99, bound=0.95)
ACCURACY = requirement("accuracy", FAILED, value=0.63, low=0.6, high=0.66, bound=0.9)
PRECISION = requirement("precision", FAILED, label="Positive", value=0.57, low=0.5, high=0.6, bound=0.8)
RECALL = requirement(
    "recall", PASSED, label="Positive", value=1.0, low=0.98, high=1, bound=0.8, judged_by="lower bound"
)


def _evaluation(*rows: Requirement, apart: float = 4, classes: int = 2) -> Evaluation:
    """200 images, whose threshold of 0.018 calls far too many of them positive."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    score = 1 / (1 + np.exp(-(labels * 2 - 1) * apart - rng.normal(0, 1.5, 200)))
    calls = [(threshold, score >= threshold) for threshold in np.linspace(0, 1, 101)]
    curve = [
        (
            threshold,
            *(((truth == labels) & (called == given)).sum() for truth, given in ((1, 1), (0, 1), (0, 0), (1, 0))),
        )
        for threshold, called in calls
    ]
    names = ["Negative", "Positive", "Other"][:classes]
    columns = ("threshold", "true_positives", "false_positives", "true_negatives", "false_negatives")
    return Evaluation.model_validate(
        {
            "positive_classes": ["Positive"],
            "threshold": 0.018,
            "requirements": [row.model_dump() for row in (AUC, *rows)],
            "confusion": {name: dict.fromkeys(names, 10) for name in names},
            "curve": [dict(zip(columns, row, strict=True)) for row in curve],
        }
    )


def test_another_threshold_that_meets_everything_is_named() -> None:
    said = say_threshold_fault(_evaluation(ACCURACY, PRECISION, RECALL))
    assert said is not None and said.startswith("the ranking is fine, the threshold is not: at 0.")
    better = float(said.split("at ")[1].split(" ")[0])
    assert 0.1 < better < 0.9 and "instead of 0.0180" in said


def test_a_recall_that_was_lost_is_told_as_well() -> None:
    lost = requirement(
        "recall", FAILED, label="Positive", value=0.5, low=0.4, high=0.6, bound=0.8, judged_by="lower bound"
    )
    assert say_threshold_fault(_evaluation(lost))
    # No threshold has an interval that narrow.
    never = requirement(
        "recall", FAILED, label="Positive", value=0.9, low=0.6, high=1, bound=0.8, judged_by="lower bound"
    )
    assert say_threshold_fault(_evaluation(never)) is None


@pytest.mark.parametrize("change", ["absolute", "relative"])
def test_what_was_lost_against_the_model_in_production_counts(change: str) -> None:
    lost = {"value": -0.2, "bound": -0.01, "change": change}
    assert say_threshold_fault(_evaluation(requirement("accuracy", FAILED, baseline=0.9, **lost)))
    assert say_threshold_fault(_evaluation(requirement("accuracy", FAILED, baseline=1.1, **lost))) is None


@pytest.mark.parametrize(
    "evaluation",
    [
        pytest.param(_evaluation(RECALL), id="nothing failed"),
        pytest.param(_evaluation(ACCURACY, apart=0.3), id="the ranking is as bad"),
        pytest.param(
            _evaluation(ACCURACY, requirement("auc", FAILED, label="Negative", value=0.9, bound=0.95)), id="AUC failed"
        ),
        pytest.param(
            _evaluation(ACCURACY, requirement("log_loss", FAILED, value=2, bound=1, direction="at most")), id="log loss"
        ),
        pytest.param(_evaluation(requirement("accuracy", FAILED, value=0.6, bound=0.9, slice="dark")), id="a slice"),
        pytest.param(_evaluation(ACCURACY, classes=3), id="three classes"),
        pytest.param(
            _evaluation(ACCURACY, requirement("recall", PASSED, label="Negative", value=1, bound=1.01)),
            id="it would break another requirement",
        ),
        pytest.param(_evaluation(ACCURACY).model_copy(update={"threshold": None}), id="the highest score decides"),
    ],
)
def test_nothing_is_said_that_is_not_known(evaluation: Evaluation) -> None:
    assert say_threshold_fault(evaluation) is None


def test_the_refusal_names_the_labels_to_check() -> None:
    summary = fill_summary(Verdict.REFUSED)
    nothing = Execution(
        1, "a", "Pusher", "complete", 1.0, {}, {}, {"pushed_model": [Artifact(1, "PushedModel", "", {})]}
    )
    summary.evaluation = _evaluation(ACCURACY, PRECISION, RECALL)
    conclude(summary, {"Pusher": nothing})
    said = "; ".join(summary.reasons)
    assert "the ranking is fine, the threshold is not" in said
    assert "train.target_recall = 0.995, is not followed" in said and "'Positive/thin.jpg'" in said
    summary.evaluation = _evaluation(ACCURACY, PRECISION, RECALL, apart=0.3)
    conclude(summary, {"Pusher": nothing})
    assert "ranking" not in "; ".join(summary.reasons)
