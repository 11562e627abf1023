"""A model's versions and signatures in TensorFlow Serving's protos. Importing this module imports TensorFlow."""

import json
from typing import Any

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.service.model_status import find_statuses
from serving.service.model_versions import ServedVersion, VersionStatus

_UNKNOWN_ERROR = 2
_AS_TENSORFLOW_SERVING: dict[str, Any] = {
    "preserving_proto_field_name": True,
    "always_print_fields_with_no_presence": True,
}


def report_status(
    name: str, statuses: list[VersionStatus], number: int | None
) -> get_model_status_pb2.GetModelStatusResponse:
    """States of all versions, or of one; raises ServiceError (NOT_FOUND) where there is no such version."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in find_statuses(name, statuses, number):
        entry = response.model_version_status.add(
            version=status.number, state=get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
        )
        entry.status.error_code = _UNKNOWN_ERROR if status.error else 0
        entry.status.error_message = status.error
    return response


def report_metadata(name: str, served: ServedVersion) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = served.number
    response.metadata["signature_def"].Pack(_signature_map(served))
    return response


def render_metadata(response: get_model_metadata_pb2.GetModelMetadataResponse, served: ServedVersion) -> bytes:
    """The JSON of `GET /v1/models/NAME/metadata`: the signatures stand there without the type of their message."""
    signatures = json_format.MessageToDict(_signature_map(served), **_AS_TENSORFLOW_SERVING)
    spec = json_format.MessageToDict(response.model_spec, **_AS_TENSORFLOW_SERVING)
    return json.dumps({"model_spec": spec, "metadata": {"signature_def": signatures}}, indent=1).encode()


def _signature_map(served: ServedVersion) -> get_model_metadata_pb2.SignatureDefMap:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in served.signature_defs.items():
        signatures.signature_def[name].CopyFrom(definition)
    return signatures
