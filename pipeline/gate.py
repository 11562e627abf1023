"""The gate's metrics and thresholds, as TFMA's configuration."""

import json

from google.protobuf.wrappers_pb2 import DoubleValue

# `tfma.EvalConfig` and its like exist only once TFX has been imported.
from tensorflow_model_analysis.proto.config_pb2 import (
    EvalConfig,
    GenericChangeThreshold,
    GenericValueThreshold,
    MetricConfig,
    MetricDirection,
    MetricsSpec,
    MetricThreshold,
    ModelSpec,
    SlicingSpec,
)

from components import features
from pipeline.config import GateOptions

ACCURACY = "accuracy"
AUC = "auc"
PRECISION = "precision"
RECALL = "recall"
# TFMA's accuracy is float32: 27 right answers of 30 come out below 0.9, and have to pass it.
_ROUNDING = 1e-6
# The name that TFMA gives to the model in service when it compares two.
BASELINE_NAME = "baseline"


def build_eval_config(classes: list[str], gate: GateOptions) -> EvalConfig:
    """Returns what the Evaluator computes on `serving_default`'s scores, and what they must reach.

    Accuracy is of the class with the highest score. AUC, precision and recall are each class's against the rest, the
    latter two counting a class as given when its score exceeds one half. Accuracy is compared with the baseline too;
    TFX drops that comparison when there is no baseline.
    """
    overall = [
        MetricConfig(
            class_name="SparseCategoricalAccuracy",
            config=json.dumps({"name": ACCURACY}),
            threshold=MetricThreshold(
                value_threshold=_at_least(gate.min_accuracy),
                change_threshold=GenericChangeThreshold(
                    direction=MetricDirection.HIGHER_IS_BETTER,
                    absolute=DoubleValue(value=-gate.max_accuracy_drop - _ROUNDING),
                ),
            ),
        ),
        MetricConfig(class_name="ExampleCount"),
        MetricConfig(class_name="MultiClassConfusionMatrixPlot"),
    ]
    per_class = [
        MetricConfig(
            class_name=class_name,
            config=json.dumps({"name": name}),
            threshold=MetricThreshold(value_threshold=_at_least(lowest)),
        )
        for class_name, name, lowest in (
            ("AUC", AUC, gate.min_auc),
            ("Precision", PRECISION, gate.min_precision),
            ("Recall", RECALL, gate.min_recall),
        )
    ]
    return EvalConfig(
        model_specs=[
            ModelSpec(signature_name="serving_default", label_key=features.CLASS_LABEL, prediction_key="scores")
        ],
        slicing_specs=[SlicingSpec()],
        metrics_specs=[
            MetricsSpec(metrics=overall),
            MetricsSpec(metrics=per_class, binarize={"class_ids": {"values": list(range(len(classes)))}}),
        ],
    )


def _at_least(bound: float) -> GenericValueThreshold:
    return GenericValueThreshold(lower_bound=DoubleValue(value=bound - _ROUNDING))
