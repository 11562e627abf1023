"""The work of CuratedSchema."""

import os

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.shared.parameters import OPTIONS, Artifacts, Properties
from crackgate.config.schema import SchemaOptions
from crackgate.contracts import stored_example

# TFX's own SchemaGen and its readers use this file name.
SCHEMA_FILE = "schema.pbtxt"


class CuratedSchemaExecutor(base_executor.BaseExecutor):
    """Writes `schema.pbtxt`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Builds the schema and writes it to the output artifact."""
        self._log_startup(input_dict, output_dict, exec_properties)
        schema = build_schema(exec_properties["classes"], SchemaOptions.model_validate_json(exec_properties[OPTIONS]))
        folder = artifact_utils.get_single_uri(output_dict["schema"])
        # As TFDV writes it, which would import TensorFlow.
        with fileio.open(os.path.join(folder, SCHEMA_FILE), "wb") as file:
            file.write(text_format.MessageToString(schema).encode("utf-8"))


def build_schema(classes: list[str], options: SchemaOptions) -> schema_pb2.Schema:
    """Returns the schema of one stored image: each feature once, with its type and domain, for classes in label order.

    It omits the image, its names and its descriptor, of which StatisticsGen needs no statistics.
    """
    schema = schema_pb2.Schema()
    schema.dataset_constraints.min_examples_count = options.min_images_per_split
    _add(schema, stored_example.FORMAT, schema_pb2.BYTES).string_domain.value.extend(["jpeg", "png"])
    _add(schema, stored_example.CLASS_TEXT, schema_pb2.BYTES).string_domain.value.extend(classes)
    label = _add(schema, stored_example.CLASS_LABEL, schema_pb2.INT).int_domain
    label.min, label.max, label.is_categorical = 0, len(classes) - 1, True
    for name, bounds in (
        (stored_example.HEIGHT, options.height),
        (stored_example.WIDTH, options.width),
        (stored_example.BYTES, options.bytes),
    ):
        counts = _add(schema, name, schema_pb2.INT).int_domain
        counts.min, counts.max = int(bounds.min), int(bounds.max)
    for name, bounds in (
        (stored_example.BRIGHTNESS, options.brightness),
        (stored_example.CONTRAST, options.contrast),
        (stored_example.SHARPNESS, options.sharpness),
        (stored_example.ENTROPY, options.entropy),
    ):
        measures = _add(schema, name, schema_pb2.FLOAT).float_domain
        measures.min, measures.max = bounds.min, bounds.max
    return schema


def _add(schema: schema_pb2.Schema, name: str, kind: "schema_pb2.FeatureType") -> schema_pb2.Feature:
    feature = schema.feature.add(name=name, type=kind)
    feature.presence.min_fraction = 1.0
    feature.shape.dim.add(size=1)
    return feature
