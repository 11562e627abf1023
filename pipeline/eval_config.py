"""The gate as TFMA's configuration: what is computed, on which slices, and what is required of it."""

import json

from google.protobuf.wrappers_pb2 import BoolValue, DoubleValue

# `tfma.EvalConfig` and its like exist only once TFX has been imported.
from tensorflow_model_analysis.proto.config_pb2 import (
    EvalConfig,
    GenericValueThreshold,
    MetricConfig,
    MetricsSpec,
    MetricThreshold,
    ModelSpec,
    Options,
    PerSliceMetricThreshold,
    SlicingSpec,
)

from components.shared.parameters import CODE_DIGEST
from crackgate.config.gate import GateOptions
from crackgate.contracts import metric_names, stored_example
from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.gate.rules import Rule, gate_rules
from crackgate.source_digest import code_digest

# The Evaluator's `module_path`.
EXTRACTION_MODULE = "components.evaluator.extractor"
METRICS_MODULE = "components.evaluator.metrics"
# 1 - 0.9 is a little less than 0.1.
_ROUNDING = 1e-9


def build_eval_config(classes: list[str], positive: str | None, gate: GateOptions) -> EvalConfig:
    """Returns what the Evaluator computes of `serving_default`'s answers, and what it requires.

    The model is blessed when it falls short of no rule, and no slice of a rule is empty. Without a baseline there is
    nothing that changes could fall short of.

    Args:
        classes: Class names in label order.
        positive: The positive class, or None.
        gate: The thresholds.
    """
    figures = MetricConfig(
        class_name="ReleaseFigures",
        module=METRICS_MODULE,
        config=json.dumps(
            {
                "classes": classes,
                "positive": None if positive is None else classes.index(positive),
                "slices": {
                    metric_names.DARK: (stored_example.BRIGHTNESS, "below", gate.slices.dark),
                    metric_names.BRIGHT: (stored_example.BRIGHTNESS, "above", gate.slices.bright),
                    metric_names.BLURRED: (stored_example.SHARPNESS, "below", gate.slices.blurred),
                    metric_names.LOW_CONTRAST: (stored_example.CONTRAST, "below", gate.slices.low_contrast),
                },
                "confidence": gate.confidence,
                "fixed_precision": gate.fixed_precision,
                "fixed_recall": gate.fixed_recall,
                CODE_DIGEST: code_digest(METRICS_MODULE, EXTRACTION_MODULE, packages=("tfx", "tfx-bsl", "tensorflow")),
            }
        ),
    )
    shortfalls = [_shortfall(rule, classes) for rule in gate_rules(classes, positive, gate)]
    return EvalConfig(
        model_specs=[
            ModelSpec(signature_name="serving_default", label_key=stored_example.CLASS_LABEL, prediction_key="scores")
        ],
        slicing_specs=[SlicingSpec(), SlicingSpec(feature_keys=[metric_names.SLICE])],
        metrics_specs=[MetricsSpec(metrics=[figures, *shortfalls])],
        # Counts are the metrics' own; a second one of TFMA's would be one more name for the same.
        options=Options(include_default_metrics=BoolValue(value=False)),
    )


def _shortfall(rule: Rule, classes: list[str]) -> MetricConfig:
    part = SlicingSpec() if rule.slice == ALL_IMAGES else SlicingSpec(feature_values={metric_names.SLICE: rule.slice})
    none = MetricThreshold(value_threshold=GenericValueThreshold(upper_bound=DoubleValue(value=_ROUNDING)))
    return MetricConfig(
        class_name="Shortfall",
        module=METRICS_MODULE,
        config=json.dumps(
            {
                "name": rule.name,
                "figure": rule.figure,
                "label": None if rule.label is None else classes.index(rule.label),
                "at_least": rule.direction == "at least",
                "bound": rule.bound,
                "relative": rule.change == "relative",
                "min_images": rule.min_images,
            }
        ),
        per_slice_thresholds=[PerSliceMetricThreshold(slicing_specs=[part], threshold=none)],
    )
