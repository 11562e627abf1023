"""The gate on real TFMA evaluations, in both directions: models that answer well, badly, and with nonsense."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components import features
from pipeline.config import GateOptions
from pipeline.evaluation import ACCURACY_CHANGE, Evaluation, describe_failures, read_evaluation
from pipeline.gate import build_eval_config

CLASSES = ["sound", "cracked", "spalled"]
LABELS = np.array([0] * 20 + [1] * 20 + [2] * 20)


class Oracle(tf.Module):
    """Answers with scores written into the example itself."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {self.key: tf.io.FixedLenFeature([len(CLASSES)], tf.float32)})
        return {"scores": parsed[self.key]}

    def __init__(self, key: str):
        super().__init__()
        self.key = key


def scores(right: np.ndarray) -> np.ndarray:
    """Sure of the right class where `right`, of the next one elsewhere."""
    answered = np.where(right, LABELS, (LABELS + 1) % len(CLASSES))
    table = np.full((len(LABELS), len(CLASSES)), 0.05, np.float32)
    table[np.arange(len(LABELS)), answered] = 0.9
    return table


def all_but(*wrong: int) -> np.ndarray:
    return scores(~np.isin(np.arange(len(LABELS)), wrong))


MODELS = {
    "perfect": all_but(),
    "one slip": all_but(0),
    "blind to cracks": all_but(*range(20, 40)),
    "always sound": np.tile(np.array([0.9, 0.05, 0.05], np.float32), (len(LABELS), 1)),
    "not a number": np.full((len(LABELS), len(CLASSES)), np.nan, np.float32),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<model>/` for every model, and `examples.tfrecord`."""
    folder = tmp_path_factory.mktemp("models")
    for name in MODELS:
        oracle = Oracle(name)
        tf.saved_model.save(oracle, str(folder / name), signatures=oracle.serving_default)
    with tf.io.TFRecordWriter(str(folder / "examples.tfrecord")) as writer:
        for row, label in enumerate(LABELS):
            feature = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=table[row]))
                for name, table in MODELS.items()
            }
            feature[features.CLASS_LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return folder


def judge(
    saved: Path, output: Path, gate: GateOptions, candidate: str, baseline: str | None = None
) -> tuple[bool, Evaluation]:
    """Evaluates as the Evaluator does; returns what TFMA decided and what we read of it."""
    config = tfma.utils.update_eval_config_with_defaults(
        build_eval_config(CLASSES, gate), has_baseline=baseline is not None, rubber_stamp=True
    )
    models = {spec.name: baseline if spec.is_baseline else candidate for spec in config.model_specs}
    shared = [
        tfma.default_eval_shared_model(str(saved / str(model)), eval_config=config, model_name=name)
        for name, model in models.items()
    ]
    tfma.run_model_analysis(
        shared if len(shared) > 1 else shared[0],
        config,
        data_location=str(saved / "examples.tfrecord"),
        output_path=str(output),
    )
    return tfma.load_validation_result(str(output)).validation_ok, read_evaluation(str(output), CLASSES, gate)


def test_a_perfect_model_passes_the_strictest_gate(saved: Path, tmp_path: Path) -> None:
    strict = GateOptions(min_accuracy=1, min_auc=1 - 1e-6, min_precision=1, min_recall=1, max_accuracy_drop=0)
    blessed, evaluation = judge(saved, tmp_path, strict, "perfect")
    assert blessed and describe_failures(evaluation.metrics) == []
    assert evaluation.baseline_accuracy is None
    assert len(evaluation.metrics) == 1 + 3 * len(CLASSES)
    assert evaluation.confusion["cracked"] == {"sound": 0, "cracked": 20, "spalled": 0}


def test_a_figure_of_exactly_the_threshold_passes(saved: Path, tmp_path: Path) -> None:
    # 59 of 60 is not a number that float32 has.
    exact = GateOptions(min_accuracy=59 / 60, min_auc=0.5, min_precision=20 / 21, min_recall=19 / 20)
    blessed, evaluation = judge(saved, tmp_path, exact, "one slip")
    assert blessed and all(metric.passed for metric in evaluation.metrics)


def test_a_model_good_in_all_but_one_class_is_refused_for_that_class(saved: Path, tmp_path: Path) -> None:
    gate = GateOptions(min_accuracy=0.6, min_auc=0, min_precision=0, min_recall=0.5)
    blessed, evaluation = judge(saved, tmp_path, gate, "blind to cracks")
    missed = {(metric.name, metric.label) for metric in evaluation.metrics if not metric.passed}
    assert not blessed and ("recall", "cracked") in missed and ("recall", "sound") not in missed
    assert "recall of 'cracked' is 0.0000, required is 0.5 or more" in describe_failures(evaluation.metrics)
    assert evaluation.confusion["cracked"] == {"sound": 0, "cracked": 0, "spalled": 20}


def test_a_class_that_is_never_answered_has_no_precision_and_that_is_no_pass(saved: Path, tmp_path: Path) -> None:
    lenient = GateOptions(min_accuracy=0, min_auc=0, min_precision=0, min_recall=0, max_accuracy_drop=1)
    blessed, evaluation = judge(saved, tmp_path, lenient, "always sound")
    assert not blessed
    assert "precision of 'cracked' is not a number, required is 0 or more" in describe_failures(evaluation.metrics)


def test_scores_that_are_no_numbers_are_never_blessed(saved: Path, tmp_path: Path) -> None:
    lenient = GateOptions(min_accuracy=0, min_auc=0, min_precision=0, min_recall=0, max_accuracy_drop=1)
    # TFMA fails in computing the AUC, so that the Evaluator fails and nothing is blessed.
    with pytest.raises(RuntimeError, match="nan"):
        judge(saved, tmp_path, lenient, "not a number")


@pytest.mark.parametrize(
    ("candidate", "baseline", "drop", "passes"),
    [
        ("one slip", "perfect", 0.0, False),
        ("one slip", "perfect", 1 / 60, True),
        ("perfect", "one slip", 0.0, True),
    ],
)
def test_a_candidate_may_be_worse_than_the_model_in_service_by_so_much_and_no_more(
    saved: Path, tmp_path: Path, candidate: str, baseline: str, drop: float, passes: bool
) -> None:
    gate = GateOptions(min_accuracy=0.5, min_auc=0.5, min_precision=0.5, min_recall=0.5, max_accuracy_drop=drop)
    blessed, evaluation = judge(saved, tmp_path, gate, candidate, baseline)
    (change,) = [metric for metric in evaluation.metrics if metric.name == ACCURACY_CHANGE]
    assert blessed == change.passed == passes
    expected = (MODELS[candidate].argmax(1) == LABELS).mean() - (MODELS[baseline].argmax(1) == LABELS).mean()
    assert change.value == pytest.approx(expected, abs=1e-6)
    assert evaluation.baseline_accuracy == pytest.approx((MODELS[baseline].argmax(1) == LABELS).mean(), abs=1e-6)
