"""The gate as TFMA's configuration: the metrics, the slices and the rules."""

import json
from collections.abc import Sequence
from dataclasses import asdict

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


def build_eval_config(classes: list[str], positive_classes: Sequence[str], gate: GateOptions) -> EvalConfig:
    """Returns the metrics that the Evaluator computes through `serving_default`, and the rules for its blessing.

    The Evaluator blesses a model that misses no rule, if no slice of a rule is empty. `classes` and,
    among them, `positive_classes` are in label order.
    """
    metrics = MetricConfig(
        class_name="ReleaseMetrics",
        module=METRICS_MODULE,
        config=json.dumps(
            {
                "classes": classes,
                "positives": list(map(classes.index, positive_classes)),
                "gate": gate.model_dump(mode="json"),
                CODE_DIGEST: code_digest(METRICS_MODULE, EXTRACTION_MODULE, packages=("tfx", "tfx-bsl", "tensorflow")),
            }
        ),
    )
    missed = [_missed(rule, classes) for rule in gate_rules(classes, positive_classes, gate)]
    return EvalConfig(
        model_specs=[
            ModelSpec(signature_name="serving_default", label_key=stored_example.CLASS_LABEL, prediction_key="scores")
        ],
        slicing_specs=[SlicingSpec(), SlicingSpec(feature_keys=[metric_names.SLICE])],
        metrics_specs=[MetricsSpec(metrics=[metrics, *missed])],
        # The metrics hold the counts already.
        options=Options(include_default_metrics=BoolValue(value=False)),
    )


def _missed(rule: Rule, classes: list[str]) -> MetricConfig:
    part = SlicingSpec() if rule.slice == ALL_IMAGES else SlicingSpec(feature_values={metric_names.SLICE: rule.slice})
    none = MetricThreshold(value_threshold=GenericValueThreshold(upper_bound=DoubleValue(value=0.5)))
    return MetricConfig(
        class_name="MissedRule",
        module=METRICS_MODULE,
        config=json.dumps({"name": rule.name, "rule": asdict(rule), "label": rule.position(classes)}),
        per_slice_thresholds=[PerSliceMetricThreshold(slicing_specs=[part], threshold=none)],
    )
