"""DataGate's sentences about one split."""

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import standard_artifacts

from components.data_gate.executor import describe
from crackgate.contracts import stored_example

_TYPES = anomalies_pb2.AnomalyInfo


@pytest.fixture
def examples(tmp_path: Path) -> standard_artifacts.Examples:
    """Brightness of 10, 20 and 250, and one image without."""
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = str(tmp_path), '["test"]'
    (tmp_path / "Split-test").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-test" / "data.gz"), "GZIP") as writer:
        for number, values in enumerate(([10.0], [20.0], [250.0], [])):
            features = {
                stored_example.FILENAME: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[f"{number}.jpg".encode()])
                ),
                stored_example.BRIGHTNESS: tf.train.Feature(float_list=tf.train.FloatList(value=values)),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return artifact


def _anomalies(highest: float, **reasons: "_TYPES.Type.ValueType") -> anomalies_pb2.Anomalies:
    anomalies = anomalies_pb2.Anomalies()
    feature = anomalies.baseline.feature.add(name=stored_example.BRIGHTNESS)
    feature.float_domain.min, feature.float_domain.max = 0, highest
    for said, kind in reasons.items():
        anomalies.anomaly_info[stored_example.BRIGHTNESS].reason.add(
            type=kind, short_description=said, description="as TFDV says it"
        )
    return anomalies


def test_images_outside_a_range_hide_no_other_fault_of_the_feature(examples: standard_artifacts.Examples) -> None:
    anomalies = _anomalies(200, missing=_TYPES.FEATURE_TYPE_LOW_FRACTION_PRESENT, high=_TYPES.FLOAT_TYPE_BIG_FLOAT)
    outside, missing = describe("test", anomalies, examples)
    assert "1 of 3 images lie outside 0 to 200 (schema.brightness); it is '2.jpg' (250)" in outside
    assert missing == f"split 'test', {stored_example.BRIGHTNESS}: missing: as TFDV says it"


def test_a_fault_without_images_outside_the_range_is_told_as_tfdv_does(examples: standard_artifacts.Examples) -> None:
    sentences = describe("test", _anomalies(255, missing=_TYPES.FEATURE_TYPE_LOW_FRACTION_PRESENT), examples)
    assert sentences == [f"split 'test', {stored_example.BRIGHTNESS}: missing: as TFDV says it"]
    assert describe("test", _anomalies(255), examples) == []


def test_features_that_the_schema_lacks_are_named_together_with_what_to_do(
    examples: standard_artifacts.Examples,
) -> None:
    anomalies = _anomalies(255, new=_TYPES.SCHEMA_NEW_COLUMN)
    for name in (stored_example.GROUP, stored_example.ENCODED):
        anomalies.anomaly_info[name].reason.add(type=_TYPES.SCHEMA_NEW_COLUMN)
    (sentence,) = describe("test", anomalies, examples)
    assert sentence.startswith(
        "split 'test': the schema does not have image/encoded, image/group, image/quality/bright"
    )
    assert "give StatisticsGen this schema" in sentence
