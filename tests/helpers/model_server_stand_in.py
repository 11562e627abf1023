"""Speaks TensorFlow Serving's two protocols for one SavedModel, where its binary cannot be had.

It takes the binary's own flags. The messages and the gRPC service are those of tensorflow-serving-api.
"""

import argparse
import base64
import json
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--rest_api_port", type=int)
    parser.add_argument("--model_name")
    parser.add_argument("--model_base_path", type=Path)
    given = parser.parse_args()
    (version,) = [folder for folder in given.model_base_path.iterdir() if folder.name.isdecimal()]
    loaded = tf.saved_model.load(str(version))

    def predict(signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        answer: dict[str, tf.Tensor] = loaded.signatures[signature](**inputs)
        return answer

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: predict_pb2.PredictRequest, context: Any) -> predict_pb2.PredictResponse:  # noqa: N802, ARG002
            assert request.model_spec.name == given.model_name
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            answer = predict(request.model_spec.signature_name, inputs)
            return predict_pb2.PredictResponse(
                outputs={name: tf.make_tensor_proto(value.numpy()) for name, value in answer.items()}
            )

    class Rest(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == f"/v1/models/{given.model_name}"
            self._send({"model_version_status": [{"version": version.name, "state": "AVAILABLE"}]})

        def do_POST(self) -> None:
            assert self.path == f"/v1/models/{given.model_name}:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (name,) = body["instances"][0]
            rows = tf.constant([base64.b64decode(row[name]["b64"]) for row in body["instances"]])
            answer = predict(body["signature_name"], {name: rows})
            columns = {
                key: [cell.decode() if isinstance(cell, bytes) else cell for cell in value.numpy().tolist()]
                for key, value in answer.items()
            }
            self._send(
                {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}
            )

        def _send(self, content: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

    server = grpc.server(futures.ThreadPoolExecutor())
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    server.add_insecure_port(f"localhost:{given.port}")
    server.start()
    ThreadingHTTPServer(("localhost", given.rest_api_port), Rest).serve_forever()


if __name__ == "__main__":
    main()
