"""The gate on real TFMA evaluations, in both directions: models that answer well, badly, and with nonsense."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx_bsl.public import tfxio

from components import features
from components.release_metrics.extraction import custom_eval_shared_model, custom_extractors
from pipeline.config import BeamOptions, GateOptions
from pipeline.evaluation import describe_failures, read_evaluation
from pipeline.evaluation_result import ALL_IMAGES, Evaluation, Outcome, Requirement
from pipeline.gate import build_eval_config
from pipeline.pipeline import beam_pipeline_args
from pipeline.rules import gate_rules

CLASSES = ["sound", "cracked", "spalled"]
POSITIVE = "cracked"
LABELS = np.repeat([0, 1, 2], 40)
# Every other image of a class is dark, every tenth blurred.
DARK = np.arange(len(LABELS)) % 2 == 0
BLURRED = np.arange(len(LABELS)) % 10 == 0
CRACKED = LABELS == 1

LENIENT = {"min_accuracy": 0.0, "min_auc": 0.0, "min_precision": 0.0, "min_recall": 0.0}
NO_CHANGE_JUDGED = {"max_accuracy_drop": 1.0, "max_recall_drop": 1.0, "max_slice_drop": 1.0}


class Oracle(tf.Module):
    """Answers with scores and labels that are written into the example itself."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(
            examples,
            {
                f"{self.key}/scores": tf.io.FixedLenFeature([len(CLASSES)], tf.float32),
                f"{self.key}/label": tf.io.FixedLenFeature([], tf.string),
            },
        )
        label, scores = parsed[f"{self.key}/label"], parsed[f"{self.key}/scores"]
        if not self.decides:
            return {"scores": scores}
        return {
            "label": label,
            "scores": scores,
            "probability": tf.reduce_max(scores, axis=1),
            "is_positive": label == POSITIVE,
        }

    def __init__(self, key: str, decides: bool):
        super().__init__()
        self.key = key
        self.decides = decides


@dataclass
class Model:
    """Its answers; `trained_on` are the test images that were in its training data, None when it does not say."""

    answered: np.ndarray
    scores: np.ndarray
    trained_on: list[int] | None = field(default_factory=list)
    decides: bool = True


def answering(answered: np.ndarray, sure: float = 0.9) -> Model:
    scores = np.full((len(LABELS), len(CLASSES)), (1 - sure) / 2, np.float32)
    scores[np.arange(len(LABELS)), answered] = sure
    return Model(answered, scores)


def wrong_on(*wrong: int) -> Model:
    is_wrong = np.isin(np.arange(len(LABELS)), wrong)
    return answering(np.where(is_wrong, (LABELS + 1) % len(CLASSES), LABELS))


def choose(condition: np.ndarray, count: int) -> np.ndarray:
    return np.flatnonzero(condition)[:count]


perfect, never = wrong_on(), np.full((len(LABELS), len(CLASSES)), np.nan, np.float32)
MODELS = {
    "perfect": perfect,
    "one slip": wrong_on(0),
    "blind to cracks": wrong_on(*np.flatnonzero(CRACKED)),
    "blind in the dark": wrong_on(*choose(CRACKED & DARK, 6)),
    "blind in the light": wrong_on(*choose(CRACKED & ~DARK, 8), 0, 1, 81),
    "always cracked": answering(np.ones_like(LABELS)),
    "swapped": answering(np.array([1, 0, 2])[LABELS]),
    "right scores, other decision": Model(np.zeros_like(LABELS), perfect.scores),
    "scores alone": Model(LABELS, perfect.scores, decides=False),
    "unsure": Model(LABELS, answering(LABELS, sure=0.4).scores),
    "not a number": Model(LABELS, never),
    "one score no number": Model(LABELS, np.where(np.arange(len(LABELS))[:, None] == 7, never, perfect.scores)),
    "learnt by heart": Model(LABELS, perfect.scores, trained_on=[3, 5]),
    "of unknown origin": Model(LABELS, perfect.scores, trained_on=None),
}


@dataclass(frozen=True)
class Judgement:
    """What TFMA decided, and what we read of it."""

    blessed: bool
    evaluation: Evaluation

    def requirement(
        self, metric: str, label: str | None = None, part: str = ALL_IMAGES, change: str = ""
    ) -> Requirement:
        (found,) = [
            row
            for row in self.evaluation.requirements
            if (row.metric, row.label, row.slice, row.change) == (metric, label, part, change)
        ]
        return found

    @property
    def failed(self) -> set[tuple[str, str | None, str, str]]:
        rows = self.evaluation.requirements
        return {(r.metric, r.label, r.slice, r.change) for r in rows if r.outcome == Outcome.FAILED}

    @property
    def reasons(self) -> str:
        return "; ".join(describe_failures(self.evaluation))


Judge = Callable[..., Judgement]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<model>/` for every model, and `all.tfrecord`."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in MODELS.items():
        oracle = Oracle(name, model.decides)
        tf.saved_model.save(oracle, str(folder / name), signatures=oracle.serving_default)
        if model.trained_on is not None:
            file = folder / name / features.TRAINING_DIGESTS_FILE
            file.parent.mkdir(exist_ok=True)
            np.save(file, np.array([features.digest(b"group %d" % row) for row in model.trained_on], np.uint64))
    write_examples(folder / "all.tfrecord", range(len(LABELS)))
    write_examples(folder / "no cracks.tfrecord", np.flatnonzero(~CRACKED).tolist())
    write_examples(folder / "by daylight.tfrecord", np.flatnonzero(~DARK).tolist())
    return folder


def write_examples(file: Path, rows: range | list[int]) -> None:
    with tf.io.TFRecordWriter(str(file)) as writer:
        for row in rows:
            example = tf.train.Example()
            feature = example.features.feature
            feature[features.CLASS_LABEL].int64_list.value.append(LABELS[row])
            feature[features.GROUP].bytes_list.value.append(b"group %d" % row)
            feature[features.BRIGHTNESS].float_list.value.append(60 if DARK[row] else 150)
            feature[features.SHARPNESS].float_list.value.append(5 if BLURRED[row] else 100)
            feature[features.CONTRAST].float_list.value.append(30)
            feature[features.ENCODED].bytes_list.value.append(b"no one looks")
            for name, model in MODELS.items():
                feature[f"{name}/scores"].float_list.value.extend(model.scores[row])
                feature[f"{name}/label"].bytes_list.value.append(CLASSES[model.answered[row]].encode())
            writer.write(example.SerializeToString())


@pytest.fixture
def judge(saved: Path, tmp_path: Path) -> Judge:
    """Evaluates as TFX's Evaluator does with our module."""

    def evaluate(
        candidate: str,
        baseline: str | None = None,
        examples: str = "all",
        positive: str | None = POSITIVE,
        **gate: object,
    ) -> Judgement:
        options = GateOptions.model_validate({**LENIENT, **NO_CHANGE_JUDGED, **gate})
        config = tfma.utils.update_eval_config_with_defaults(
            build_eval_config(CLASSES, positive, options), has_baseline=baseline is not None, rubber_stamp=True
        )
        models = {spec.name: baseline if spec.is_baseline else candidate for spec in config.model_specs}
        shared = [custom_eval_shared_model(str(saved / str(model)), name, config) for name, model in models.items()]
        shared_or_only = shared if len(shared) > 1 else shared[0]
        source = tfxio.TFExampleRecord(
            str(saved / f"{examples}.tfrecord"), raw_record_column_name=tfma.ARROW_INPUT_COLUMN
        )
        with beam.Pipeline(argv=beam_pipeline_args(BeamOptions())) as pipeline:
            _ = (
                pipeline
                | source.BeamSource()
                | tfma.ExtractEvaluateAndWriteResults(
                    eval_shared_model=shared_or_only,
                    eval_config=config,
                    extractors=custom_extractors(shared_or_only, config, None),
                    output_path=str(tmp_path),
                )
            )
        rules = gate_rules(CLASSES, positive, options)
        evaluation = read_evaluation(str(tmp_path), saved / candidate, CLASSES, positive, rules)
        blessed = tfma.load_validation_result(str(tmp_path)).validation_ok
        outcomes = {row.outcome for row in evaluation.requirements}
        assert blessed == (Outcome.FAILED not in outcomes), "what is shown is what TFX does"
        return Judgement(blessed, evaluation)

    return evaluate


def recall_in(part: str, **bounds: object) -> tuple[dict[str, object]]:
    return ({"metric": "recall", "label": POSITIVE, "slice": part, **bounds},)


def test_a_perfect_model_passes_the_strictest_gate(judge: Judge) -> None:
    judged = judge("perfect", min_accuracy=1, min_auc=1, min_precision=1, min_recall=1, positive_recall_by="estimate")
    evaluation = judged.evaluation
    assert judged.blessed and judged.reasons == "" and evaluation.warnings == []
    assert evaluation.comparison is None and not any(row.change for row in evaluation.requirements)
    assert evaluation.confusion["cracked"] == {"sound": 0, "cracked": 40, "spalled": 0}
    assert [part.name for part in evaluation.slices] == [
        ALL_IMAGES, "class cracked", "class sound", "class spalled", "blurred", "dark"
    ]  # fmt: skip
    assert [part.images for part in evaluation.slices] == [120, 40, 40, 40, 12, 60]
    whole = evaluation.slices[0].figures
    assert whole["log_loss"].value == pytest.approx(-np.log(0.9), abs=1e-6)
    assert whole["brier"].value == pytest.approx((0.1**2 + 2 * 0.05**2) / 2, abs=1e-6)
    assert whole["calibration_error"].value == pytest.approx(0.1, abs=1e-6)


def test_of_a_perfect_recall_only_the_lower_bound_is_believed(judge: Judge) -> None:
    # Of 40 images found: 0.025 ** (1 / 40).
    assert judge("perfect", min_recall=0.91).blessed
    judged = judge("perfect", min_recall=0.92)
    assert not judged.blessed and judged.failed == {("recall", "cracked", ALL_IMAGES, "")}
    figure = judged.requirement("recall", "cracked").figure
    assert (figure.value, figure.low, figure.high) == (1, pytest.approx(0.9119, abs=1e-4), 1)
    assert judged.reasons == "recall of 'cracked' is 1.0000, its lower bound 0.9119; required is 0.92 or more"


def test_a_figure_of_exactly_the_threshold_passes(judge: Judge) -> None:
    exact = {"min_accuracy": 119 / 120, "min_precision": 40 / 41, "min_recall": 39 / 40}
    assert judge("one slip", **exact, positive_recall_by="estimate").blessed


def test_a_model_blind_to_one_class_is_refused_for_it(judge: Judge) -> None:
    judged = judge("blind to cracks", min_accuracy=0.6, min_recall=0.5)
    assert ("recall", "cracked", ALL_IMAGES, "") in judged.failed
    assert ("recall", "sound", ALL_IMAGES, "") not in judged.failed
    assert judged.evaluation.confusion["cracked"] == {"sound": 0, "cracked": 0, "spalled": 40}
    assert "precision of 'cracked' is not a number, required is 0 or more" in judged.reasons


def test_a_model_that_always_says_crack_has_all_cracks_and_is_refused(judge: Judge) -> None:
    judged = judge("always cracked", min_precision=0.5, min_recall=0.5, min_accuracy=0.5)
    assert judged.requirement("recall", "cracked").outcome == Outcome.PASSED
    assert {("accuracy", None), ("precision", "cracked"), ("recall", "sound")} <= {row[:2] for row in judged.failed}


def test_swapped_labels_are_refused(judge: Judge) -> None:
    judged = judge("swapped", min_recall=0.5, min_auc=0.5)
    assert {("recall", "sound"), ("recall", "cracked"), ("auc", "cracked")} <= {row[:2] for row in judged.failed}
    assert ("recall", "spalled", ALL_IMAGES, "") not in judged.failed


def test_the_models_own_decision_is_judged_and_not_its_highest_score(judge: Judge) -> None:
    judged = judge("right scores, other decision", min_accuracy=0.5)
    assert judged.requirement("accuracy").figure.value == pytest.approx(1 / 3)
    assert judged.requirement("auc", "cracked").figure.value == 1
    assert judged.evaluation.confusion["cracked"]["sound"] == 40
    assert judge("scores alone").requirement("accuracy").figure.value == 1, "without a decision, the highest score's"


def test_a_model_good_overall_and_bad_on_dark_images_is_refused_for_its_slice(judge: Judge) -> None:
    gate = {"min_accuracy": 0.9, "min_recall": 0.8, "positive_recall_by": "estimate", "min_images": 10}
    assert judge("blind in the dark", **gate).blessed
    judged = judge("blind in the dark", **gate, require=recall_in("dark", min=0.8))
    assert not judged.blessed and judged.failed == {("recall", "cracked", "dark", "")}
    assert judged.reasons == "recall of 'cracked' in the slice 'dark' (60 images) is 0.7000, required is 0.8 or more"
    assert judge("perfect", **gate, require=recall_in("dark", min=0.8)).blessed


def test_a_small_slice_warns_and_an_empty_one_refuses(judge: Judge) -> None:
    gate = {"require": recall_in("blurred", min=0.99), "min_images": 13}
    judged = judge("blind to cracks", **gate, min_precision=0, min_accuracy=0)
    assert judged.requirement("recall", "cracked", "blurred").outcome == Outcome.WARNED
    small = judge("perfect", **gate)
    assert small.blessed and small.requirement("recall", "cracked", "blurred").images == 12
    assert not judge("perfect", require=recall_in("blurred", min=0.99), min_images=12).blessed, "its lower bound is low"

    empty = judge("perfect", require=recall_in("dark", min=0.1), examples="by daylight")
    assert not empty.blessed and empty.failed == {("recall", "cracked", "dark", "")}
    assert "no test image is in the slice 'dark'" in empty.reasons


@pytest.mark.parametrize("model", ["not a number", "one score no number"])
def test_scores_that_are_no_numbers_are_never_blessed_and_said_plainly(judge: Judge, model: str) -> None:
    judged = judge(model)
    count = 120 if model == "not a number" else 1
    assert f"the scores of {count} of 120 test images are not numbers from 0 to 1" in judged.reasons
    assert "accuracy is not a number" in judged.reasons and not judged.blessed
    beside = judge("perfect", baseline=model)
    assert not beside.blessed and "absolute change of accuracy" in beside.reasons, "nor compared with"


def test_a_class_that_is_absent_from_test_is_never_blessed(judge: Judge) -> None:
    judged = judge("perfect", examples="no cracks")
    assert ("recall", "cracked", ALL_IMAGES, "") in judged.failed
    assert "recall of 'cracked' is not a number" in judged.reasons


def test_a_model_trained_on_its_test_images_is_refused(judge: Judge) -> None:
    judged = judge("learnt by heart")
    assert judged.failed == {("seen_in_training", None, ALL_IMAGES, "")}
    assert judged.reasons == "the model was trained on 2 of the 120 test images, which proves nothing"

    unknown = judge("of unknown origin")
    assert unknown.blessed and unknown.requirement("seen_in_training").outcome == Outcome.WARNED
    assert "does not say which images it was trained on" in unknown.evaluation.warnings[0]

    unfair = judge("perfect", baseline="learnt by heart")
    assert unfair.blessed and "was trained on 2 of the 120 test images" in unfair.evaluation.warnings[0]


@pytest.mark.parametrize(
    ("candidate", "baseline", "drop", "passes"),
    [
        ("one slip", "perfect", 0.0, False),
        ("one slip", "perfect", 1 / 120, True),
        ("perfect", "one slip", 0.0, True),
    ],
)
def test_a_candidate_may_be_worse_than_the_model_in_service_by_so_much_and_no_more(
    judge: Judge, candidate: str, baseline: str, drop: float, passes: bool
) -> None:
    judged = judge(candidate, baseline, max_accuracy_drop=drop)
    change = judged.requirement("accuracy", change="absolute")
    right = {name: (MODELS[name].answered == LABELS).mean() for name in (candidate, baseline)}
    assert judged.blessed == passes == (change.outcome == Outcome.PASSED)
    assert change.figure.value == pytest.approx(right[candidate] - right[baseline])
    assert change.figure.low is not None and change.figure.high is not None
    assert change.figure.low <= change.figure.value <= change.figure.high
    assert change.baseline is not None and change.baseline.value == pytest.approx(right[baseline])


def test_a_candidate_better_overall_and_worse_in_a_gated_slice_is_refused(judge: Judge) -> None:
    candidate, baseline = "blind in the dark", "blind in the light"
    gate = {"max_accuracy_drop": 0, "max_recall_drop": 0, "min_images": 10}
    better = judge(candidate, baseline, **gate)
    assert better.blessed
    assert better.evaluation.comparison is not None
    assert better.evaluation.comparison.only_candidate_right == 11
    assert better.evaluation.comparison.only_baseline_right == 6
    assert better.evaluation.comparison.p_value == pytest.approx(0.3323, abs=1e-4)

    gate["require"] = recall_in("dark", min=0.1)
    worse = judge(candidate, baseline, **gate, max_slice_drop=0.1)
    assert not worse.blessed and worse.failed == {("recall", "cracked", "dark", "absolute")}
    assert worse.requirement("recall", "cracked", "dark", "absolute").figure.value == pytest.approx(-0.3)
    assert judge(candidate, baseline, **gate, max_slice_drop=0.31).blessed


@pytest.mark.parametrize(("allowed", "passes"), [(0.2, False), (0.3, True)])
def test_a_change_can_be_bounded_as_a_share_of_the_model_in_service(judge: Judge, allowed: float, passes: bool) -> None:
    require = ({"metric": "log_loss", "max_relative_drop": allowed},)
    judged = judge("one slip", "perfect", require=require)
    change = judged.requirement("log_loss", change="relative")
    assert judged.blessed == passes
    # One sure mistake in 120 images.
    assert change.figure.value == pytest.approx((np.log(0.9) - np.log(0.05)) / 120 / -np.log(0.9), abs=1e-4)


@pytest.mark.parametrize(("highest", "passes"), [(0.3, False), (0.7, True)])
def test_a_metric_can_be_bounded_from_above(judge: Judge, highest: float, passes: bool) -> None:
    judged = judge("unsure", require=({"metric": "calibration_error", "max": highest},))
    assert judged.blessed == passes
    assert judged.requirement("calibration_error").figure.value == pytest.approx(0.6, abs=1e-6)


def test_curve_and_reliability_are_of_the_positive_class(judge: Judge) -> None:
    evaluation = judge("one slip").evaluation
    assert [point.threshold for point in evaluation.curve] == sorted(point.threshold for point in evaluation.curve)
    at_half = next(point for point in evaluation.curve if point.threshold == 0.5)
    # Row 0 is sound and answered "cracked".
    assert (at_half.true_positives, at_half.false_positives) == (40, 1)
    assert (at_half.true_negatives, at_half.false_negatives) == (79, 0)
    assert sum(part.images for part in evaluation.reliability) == 120
    assert evaluation.reliability[-1].share_positive == pytest.approx(40 / 41)
    assert evaluation.reliability[-1].mean_score == pytest.approx(0.9, abs=1e-6)
    assert judge("one slip", positive=None).evaluation.curve == []
