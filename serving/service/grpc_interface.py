"""TensorFlow Serving's gRPC interface: Predict, GetModelMetadata and GetModelStatus; and gRPC's health service."""

from typing import Any

import grpc
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from crackgate.contracts.signatures import SIGNATURE_INPUTS
from serving.service.errors import Code, ServiceError, invalid, shortened, unknown_model
from serving.service.grpc_guard import GrpcGuard
from serving.service.metrics import Metrics
from serving.service.model_reports import report_metadata, report_status
from serving.service.model_versions import ModelVersions, ServedVersion
from serving.service.predictor import Predictor
from serving.service.request_memory import RequestMemory
from serving.service.rest_payload import DEFAULT_SIGNATURE
from serving.service.settings import ServiceSettings, SettingsError


def build_server(
    settings: ServiceSettings, predictor: Predictor, memory: RequestMemory, metrics: Metrics
) -> tuple[Any, int]:
    """A server that is ready to be started, and its port; raises SettingsError when the port is taken."""
    server = grpc.aio.server(
        interceptors=[GrpcGuard(settings.token, settings.limits, memory, metrics)],
        maximum_concurrent_rpcs=settings.limits.connections,
        options=[
            ("grpc.max_receive_message_length", settings.limits.request_bytes),
            # Two servers at one port would each answer some of the requests.
            ("grpc.so_reuseport", 0),
            # Otherwise a fast client's unread bytes grow to megabytes a connection.
            ("grpc.http2.bdp_probe", 0),
        ],
    )
    interface = _Interface(settings, predictor)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(interface, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(interface, server)
    health_pb2_grpc.add_HealthServicer_to_server(_Health(predictor.versions, settings.name), server)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        return server, server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError:
        raise SettingsError(
            f"cannot listen at {settings.host}, gRPC port {settings.grpc_port}: choose another --grpc-port "
            "(0 takes any free one)"
        ) from None


class _Health(health_pb2_grpc.HealthServicer):
    """Says of the service as a whole, and of its model by name, whether a version answers."""

    def __init__(self, versions: ModelVersions, name: str):
        self._versions, self._names = versions, ("", name)

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, _context: Any
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._names:
            raise ServiceError(Code.NOT_FOUND, f"unknown service {shortened(request.service)!r}")
        status = health_pb2.HealthCheckResponse
        return status(status=status.NOT_SERVING if self._versions.served is None else status.SERVING)


class _Interface(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self, settings: ServiceSettings, predictor: Predictor):
        self._settings, self._predictor = settings, predictor
        self._versions = predictor.versions

    async def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, _context: Any
    ) -> predict_pb2.PredictResponse:
        served = self._served(request.model_spec)
        signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature not in SIGNATURE_INPUTS:
            raise invalid(f'Serving signature name: "{shortened(signature)}" not found in signature def')
        name = SIGNATURE_INPUTS[signature]
        if request.inputs.keys() != {name}:
            raise invalid(f"input: expected {name}, received {shortened(', '.join(sorted(request.inputs)) or 'none')}")
        tensor = request.inputs[name]
        sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
        if tensor.dtype != tf.string.as_datatype_enum or sizes != [len(tensor.string_val)]:
            raise invalid(f"input {name}: expected strings of shape (images,), received shape {shortened(str(sizes))}")
        most = self._settings.limits.queued_images
        if len(tensor.string_val) > most:
            raise invalid(f"received {len(tensor.string_val)} images in one request, at most {most} are allowed")
        values, output_filter = list(tensor.string_val), list(request.output_filter)
        # The images are held once while they wait.
        del request, tensor
        outputs = await self._predictor.predict(served, signature, values)
        wanted = output_filter or list(outputs)
        if not set(wanted) <= outputs.keys():
            raise invalid(f"output_filter: received {shortened(', '.join(wanted))}, there are {', '.join(outputs)}")
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self._settings.name
        response.model_spec.signature_name = signature
        response.model_spec.version.value = served.number
        for output in wanted:
            dtype = tf.as_dtype(served.signature_defs[signature].outputs[output].dtype or tf.string.as_datatype_enum)
            shape = (0, len(served.model.classes)) if output == "scores" and not outputs[output] else None
            response.outputs[output].CopyFrom(tf.make_tensor_proto(outputs[output], dtype, shape))
        return response

    async def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, _context: Any
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if list(request.metadata_field) != ["signature_def"]:
            received = shortened(str(list(request.metadata_field)))
            raise invalid(f"metadata_field: received {received}, allowed is ['signature_def']")
        return report_metadata(self._settings.name, self._served(request.model_spec))

    async def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, _context: Any
    ) -> get_model_status_pb2.GetModelStatusResponse:
        spec = request.model_spec
        number = self._served(spec).number if spec.version_label else self._version(spec)
        return report_status(self._settings.name, self._versions.statuses(), number)

    def _served(self, spec: model_pb2.ModelSpec) -> ServedVersion:
        return self._versions.get(self._version(spec), spec.version_label or None)

    def _version(self, spec: model_pb2.ModelSpec) -> int | None:
        if spec.name != self._settings.name:
            raise unknown_model(spec.name, self._settings.name)
        return spec.version.value if spec.HasField("version") else None
