"""`crackgate serve` as its clients see it: TensorFlow Serving's interface, over real connections."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf import json_format
from PIL import Image

from tests.helpers.asking import DARK, LIGHT, b64, encoded, example, metric, newest, predict
from tests.helpers.service_process import Service
from tests.helpers.toy_release import CLASSES, SIZE


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"instances": [b64(DARK), b64(LIGHT)]}, "predictions"),
        ({"instances": [{"image_bytes": b64(DARK)}, {"image_bytes": b64(LIGHT)}]}, "predictions"),
        ({"inputs": [b64(DARK), b64(LIGHT)]}, "outputs"),
        ({"inputs": {"image_bytes": [b64(DARK), b64(LIGHT)]}}, "outputs"),
    ],
)
def test_rows_and_columns(service: Service, serving_dir: Path, body: dict[str, Any], key: str) -> None:
    answer = predict(service, {"signature_name": "predict_images", **body}).raise_for_status().json()
    assert answer.keys() == {key}
    columns = answer[key]
    if key == "predictions":
        columns = {name: [row[name] for row in columns] for name in columns[0]}
    assert columns["label"] == ["Positive", "Negative"]
    assert columns["is_positive"] == [True, False]
    assert columns["error"] == ["", ""]
    assert columns["model_version"] == [str(newest(serving_dir))] * 2
    assert [len(row) for row in columns["scores"]] == [len(CLASSES)] * 2
    assert columns["probability"] == [max(row) for row in columns["scores"]]
    assert min(columns["probability"]) > 0.9


def test_unfamiliar_images_are_told_and_counted(service: Service) -> None:
    file = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), (200, 40, 40)).save(file, "PNG")
    shares = []
    for images in ([DARK, LIGHT], [file.getvalue()] * 3):
        body = {"signature_name": "predict_images", "instances": [b64(image) for image in images]}
        rows = predict(service, body).raise_for_status().json()["predictions"]
        assert {row["unfamiliarity"] > 1 for row in rows} == {len(images) == 3}
        shares.append(metric(service, "crackgate_unfamiliar_share"))
    assert 0 <= shares[0] < shares[1] < 1


def test_examples_are_the_default_signature(service: Service) -> None:
    of_examples = predict(service, {"instances": [b64(example(DARK)), b64(example(LIGHT))]}).json()
    of_images = predict(service, {"signature_name": "predict_images", "instances": [b64(DARK), b64(LIGHT)]}).json()
    assert of_examples == of_images


def test_the_answers_are_those_of_the_saved_model(service: Service, serving_dir: Path) -> None:
    import tensorflow as tf

    images = [DARK, encoded(120, "JPEG"), LIGHT, encoded(133, "JPEG", 200)]
    loaded = tf.saved_model.load(str(serving_dir / str(newest(serving_dir))))
    outputs = loaded.signatures["predict_images"](image_bytes=tf.constant(images))
    answer = predict(service, {"signature_name": "predict_images", "inputs": [b64(image) for image in images]})
    columns = answer.raise_for_status().json()["outputs"]
    assert columns.keys() == outputs.keys()
    for name, value in outputs.items():
        expected = value.numpy()
        if value.dtype == tf.float32:
            assert columns[name] == pytest.approx(expected.tolist(), abs=1e-4) if expected.ndim == 1 else True
            assert [list(map(float, row)) for row in columns["scores"]] == [
                pytest.approx(row, abs=1e-4) for row in outputs["scores"].numpy().tolist()
            ]
        else:
            texts = [text.decode() if isinstance(text, bytes) else text for text in expected.tolist()]
            assert columns[name] == texts


@pytest.mark.parametrize(
    "name", ["AVIF", "HEIC", "lossy WebP", "16-bit TIFF", "turned JPEG", "CMYK JPEG", "cut JPEG", "low 16-bit PNG"]
)
def test_every_format_is_answered_alike_over_rest_and_grpc_and_by_predict(
    service: Service, serving_dir: Path, tmp_path: Path, name: str
) -> None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from crackgate.model.predictions import predict as predict_files
    from crackgate.model.released_model import load_released_model
    from tests.helpers.image_files import SIXTEEN_BITS, SOURCES, encode

    low = encode(Image.fromarray(SIXTEEN_BITS >> 4), "PNG")
    data = {**SOURCES, "cut JPEG": SOURCES["RGB JPEG"][:-300] + b"\xff\xd9", "low 16-bit PNG": low}[name]
    (tmp_path / "image").write_bytes(data)
    model = load_released_model(serving_dir / str(newest(serving_dir)))
    (expected,) = predict_files(model, [tmp_path / "image"])
    assert bool(expected.answer.error) == (name in ("cut JPEG", "low 16-bit PNG"))

    for signature, content in (("predict_images", data), ("serving_default", example(data))):
        answer = predict(service, {"signature_name": signature, "instances": [b64(content)]}).raise_for_status()
        (row,) = answer.json()["predictions"]
        assert (row["label"], row["error"]) == (expected.answer.label, expected.answer.error)
        assert row["scores"] == pytest.approx(expected.answer.scores, abs=1e-6)
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "crackgate", "predict_images"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([data]))
    with grpc.insecure_channel(service.grpc) as channel:
        outputs = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30).outputs
    assert tf.make_ndarray(outputs["error"])[0].decode() == expected.answer.error
    assert tf.make_ndarray(outputs["scores"])[0] == pytest.approx(expected.answer.scores, abs=1e-6)


def test_status_and_metadata_are_tensorflow_servings_protos(service: Service, serving_dir: Path) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

    version = newest(serving_dir)
    for path in ("/v1/models/crackgate", f"/v1/models/crackgate/versions/{version}"):
        text = httpx.get(f"{service.url}{path}").raise_for_status().text
        status = json_format.Parse(text, get_model_status_pb2.GetModelStatusResponse())
        entry = next(entry for entry in status.model_version_status if entry.version == version)
        assert entry.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
        assert json.loads(text)["model_version_status"][0]["status"] == {"error_code": "OK", "error_message": ""}
    for path in ("/v1/models/crackgate/metadata", f"/v1/models/crackgate/versions/{version}/metadata"):
        content = httpx.get(f"{service.url}{path}").raise_for_status().json()
        spec = json_format.ParseDict(content["model_spec"], model_pb2.ModelSpec())
        assert (spec.name, spec.version.value) == ("crackgate", version)
        signatures = json_format.ParseDict(
            content["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap()
        ).signature_def
        assert signatures["predict_images"].inputs["image_bytes"].dtype == 7  # DT_STRING
        answer = predict(service, {"signature_name": "predict_images", "instances": [b64(DARK)]}).json()
        assert answer["predictions"][0].keys() == signatures["predict_images"].outputs.keys()


def test_grpc_is_tensorflow_servings(service: Service, serving_dir: Path) -> None:
    import grpc
    import tensorflow as tf
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    version = newest(serving_dir)
    with grpc.insecure_channel(service.grpc) as channel:
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest(inputs={"image_bytes": tf.make_tensor_proto([DARK, b"none", LIGHT])})
        request.model_spec.name, request.model_spec.signature_name = "crackgate", "predict_images"
        response = predictions.Predict(request, timeout=30)
        outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
        assert outputs["label"].tolist() == [b"Positive", b"", b"Negative"]
        assert outputs["scores"].shape == (3, len(CLASSES))
        assert outputs["is_positive"].dtype == bool
        assert response.model_spec.version.value == version
        of_rest = predict(service, {"signature_name": "predict_images", "inputs": [b64(DARK), b64(b""), b64(LIGHT)]})
        assert outputs["probability"].tolist() == pytest.approx(of_rest.json()["outputs"]["probability"], abs=1e-6)

        examples = predict_pb2.PredictRequest(inputs={"examples": tf.make_tensor_proto([example(DARK)])})
        examples.model_spec.name = "crackgate"
        examples.model_spec.version_label = "production"
        examples.output_filter.append("label")
        assert predictions.Predict(examples, timeout=30).outputs.keys() == {"label"}

        metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        metadata.model_spec.name = "crackgate"
        signatures = get_model_metadata_pb2.SignatureDefMap()
        predictions.GetModelMetadata(metadata, timeout=30).metadata["signature_def"].Unpack(signatures)
        assert signatures.signature_def["predict_images"].outputs.keys() == outputs.keys()

        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "crackgate"
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="crackgate"))
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        assert stub.GetModelStatus(status, timeout=30).model_version_status[0].state == 30  # AVAILABLE

        def refusal(change: Any) -> grpc.StatusCode:
            wrong = predict_pb2.PredictRequest()
            wrong.CopyFrom(request)
            change(wrong)
            with pytest.raises(grpc.RpcError) as raised:
                predictions.Predict(wrong, timeout=30)
            return raised.value.code()  # type: ignore[attr-defined]

        large = tf.make_tensor_proto([b" " * (5 * 2**20)])
        several = tf.make_tensor_proto([[DARK]])
        codes = grpc.StatusCode
        assert refusal(lambda wrong: setattr(wrong.model_spec, "name", "other")) == codes.NOT_FOUND
        assert refusal(lambda wrong: setattr(wrong.model_spec.version, "value", 5)) == codes.NOT_FOUND
        assert refusal(lambda wrong: setattr(wrong.model_spec, "version_label", "x")) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: setattr(wrong.model_spec, "signature_name", "x")) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: wrong.output_filter.append("x")) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: wrong.inputs["image_bytes"].CopyFrom(several)) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: wrong.inputs["image_bytes"].CopyFrom(large)) == codes.RESOURCE_EXHAUSTED


def test_base64_is_decoded_once(service: Service) -> None:
    twice = base64.b64encode(DARK)
    (row,) = predict(service, {"signature_name": "predict_images", "instances": [b64(twice)]}).json()["predictions"]
    assert row["label"] == ""
    assert row["error"]


def test_an_empty_column_has_an_empty_answer(service: Service) -> None:
    outputs = predict(service, {"signature_name": "predict_images", "inputs": []}).json()["outputs"]
    assert outputs.keys() > {"label", "scores"}
    assert not any(outputs.values())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("GET", "/v1/models/crackgate/versions/5", 404),
        ("GET", "/v1/models/crackgate/versions/five", 400),
        ("GET", "/v1/models/crackgate/versions/5/metadata", 404),
        ("POST", "/v1/models/crackgate/versions/5:predict", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/crackgate:regress", 400),
        ("GET", "/v1/models/crackgate:predict/x", 400),
        ("DELETE", "/v1/models/crackgate", 400),
        ("GET", "/nowhere", 404),
        ("POST", "/healthz", 405),
    ],
)
def test_wrong_paths(service: Service, method: str, path: str, status: int) -> None:
    body = json.dumps({"instances": [b64(DARK)]})
    response = httpx.request(method, f"{service.url}{path}", content=body)
    assert response.status_code == status
    assert response.json().keys() == {"error"}


def test_a_version_can_be_asked_for(service: Service, serving_dir: Path) -> None:
    path = f"/v1/models/crackgate/versions/{newest(serving_dir)}:predict"
    assert predict(service, {"instances": [b64(example(DARK))]}, path).json()["predictions"][0]["label"] == "Positive"
