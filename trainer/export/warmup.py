"""Warm-up requests, which TensorFlow Serving makes when it loads a model, so that no caller waits for the first one."""

from itertools import cycle, islice
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from crackgate.contracts import stored_example
from crackgate.contracts.model_files import WARMUP_FILE
from crackgate.contracts.scale import TrainedScale
from crackgate.model.decoding import decode_image
from trainer.export.signatures import IMAGES_AT_ONCE
from trainer.input_pipeline import read_examples

# Different ones; larger batches repeat them.
_MOST_IMAGES = 8
_BATCHES = (1, IMAGES_AT_ONCE)


def write_warmup_requests(image_size: int, scale: TrainedScale | None, file_patterns: list[str], folder: Path) -> None:
    """Writes requests for both signatures, of one image and of a full batch, JPEG and PNG in turn.

    The stored images are scaled to a square of `image_size` pixels, or to the smallest size that a model with this
    `scale` takes: in one colour then, to keep the file small. `folder` is the SavedModel's.
    """
    size = (image_size, image_size) if scale is None or scale.takes(image_size, image_size) else scale.smallest_size
    wanted = {stored_example.ENCODED: tf.io.FixedLenFeature([], tf.string)}
    stored = [
        tf.io.parse_single_example(record, wanted)[stored_example.ENCODED]
        for record in read_examples(file_patterns).take(_MOST_IMAGES)
    ]
    images = [_small(encoded, image_size, size, as_png=number % 2 == 1) for number, encoded in enumerate(stored)]
    file = folder / WARMUP_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for count in _BATCHES:
            batch = list(islice(cycle(images), count))
            for signature, name, values in (
                ("serving_default", "examples", [_example(image) for image in batch]),
                ("predict_images", "image_bytes", batch),
            ):
                writer.write(_log(signature, name, values).SerializeToString())


def _small(encoded: tf.Tensor, image_size: int, size: tuple[int, int], as_png: bool) -> bytes:
    pixels = tf.cast(tf.round(decode_image(encoded, image_size)), tf.uint8)
    if size != (image_size, image_size):
        width, height = size
        pixels = tf.fill((height, width, 3), pixels[0, 0, 0])
    small: bytes = (tf.io.encode_png(pixels) if as_png else tf.io.encode_jpeg(pixels)).numpy()
    return small


def _example(image: bytes) -> bytes:
    feature = {stored_example.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
    example: bytes = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    return example


def _log(signature: str, name: str, values: list[bytes]) -> prediction_log_pb2.PredictionLog:
    request = predict_pb2.PredictRequest(inputs={name: tf.make_tensor_proto(values)})
    # The server chooses the model's name, and ignores this one.
    request.model_spec.name, request.model_spec.signature_name = "classifier", signature
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
