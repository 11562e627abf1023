"""Asking the exported model about every test image, and picking the answers to look at.

Importing this module imports TensorFlow, which takes some seconds.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image

from components import features
from components.image_example_gen.reading import readable_path
from components.page.thumbnails import shrink, to_data_uri
from pipeline.report.content import Answer, Answers, Pictures
from pipeline.report.grad_cam import GradCam
from trainer.serving import IMAGES_AT_ONCE

# Shown over all classes: 12 of each where there are two.
SHOWN = 24
# In place of a label, where the model says that it could not decode the image.
NO_ANSWER = "no answer"
# Pixels.
_SIDE = 224
# Opacity of the heat map where it is hottest.
_OPACITY = 0.65


def ask(model: Path, examples: Path, classes: list[str]) -> Answers:
    """Scores every test image through `serving_default` and picks the answers that are worth a look.

    Args:
        model: The SavedModel's folder.
        examples: The folder of the stored examples, as ImageExampleGen wrote it.
        classes: In label order.
    """
    signature = tf.saved_model.load(str(model)).signatures["serving_default"]
    answers = []
    for batch in _test_records(examples).batch(IMAGES_AT_ONCE):
        answers += _ask_batch(signature, batch, classes)
    return pick(answers, classes)


def pick(answers: list[Answer], classes: list[str]) -> Answers:
    """Picks the surest wrong answers of each class, or the least certain right ones when none is wrong."""
    wrong = [answer for answer in answers if answer.label != answer.actual]
    most = max(1, SHOWN // len(classes))
    # Within a class, also where a threshold decides: the further from it, the higher the score of the label given.
    ordered = (
        sorted(wrong, key=lambda answer: (-_certainty(answer), answer.path))
        if wrong
        else sorted(answers, key=lambda answer: (_certainty(answer), answer.path))
    )
    return Answers(
        scored=len(answers),
        wrong=len(wrong),
        shown="wrong" if wrong else "least certain",
        by_class={name: [answer for answer in ordered if answer.actual == name][:most] for name in classes},
    )


def draw(answers: Answers, keras_file: Path | None, examples: Path, classes: list[str]) -> dict[str, Pictures]:
    """Draws the picked images, each with the heat map of what spoke for the answer given.

    Args:
        answers: From `ask`.
        keras_file: The classifier from images to logits, as the Trainer saved it.
        examples: The folder of the stored examples.
        classes: In label order.

    Returns:
        The pictures by path.
    """
    labels = {answer.path: answer.label for of_class in answers.by_class.values() for answer in of_class}
    grad_cam = GradCam(keras.models.load_model(keras_file, compile=False)) if keras_file else None
    thumbnails, pixels = {}, {}
    # A second read, for these few alone: kept during the first, images of up to 50 MB each would add up.
    for path, encoded in _test_images(examples):
        if path in labels:
            thumbnails[path] = shrink(encoded, _SIDE)
            if grad_cam and labels[path] in classes:
                pixels[path] = grad_cam.decode(encoded)
    heat = {}
    if grad_cam and pixels:
        asked = [classes.index(labels[path]) for path in pixels]
        heat = dict(zip(pixels, grad_cam.heat_maps(list(pixels.values()), asked), strict=True))
    return {path: _draw(small, heat.get(path)) for path, small in thumbnails.items()}


def _test_records(examples: Path) -> tf.data.Dataset:
    files = sorted(str(file) for file in (examples / f"Split-{features.TEST_SPLIT}").glob("*.gz"))
    return tf.data.TFRecordDataset(files, compression_type="GZIP")


def _test_images(examples: Path) -> Iterator[tuple[str, bytes]]:
    """Path and encoded image of every test image."""
    for record in _test_records(examples).as_numpy_iterator():
        stored = tf.train.Example.FromString(record).features.feature
        path, encoded = (stored[name].bytes_list.value[0] for name in (features.FILENAME, features.ENCODED))
        yield readable_path(path), encoded


def _ask_batch(
    signature: "tf.types.experimental.GenericFunction", batch: tf.Tensor, classes: list[str]
) -> list[Answer]:
    # The names of the inputs of models that were made elsewhere are their own.
    (name,) = signature.structured_input_signature[1]
    said = signature(**{name: batch})
    scores = said["scores"].numpy()
    labels = [label.decode() or NO_ANSWER for label in said["label"].numpy()] if "label" in said else None
    wanted = {name: tf.io.FixedLenFeature([], tf.string) for name in (features.FILENAME, features.CLASS_TEXT)}
    stored = tf.io.parse_example(batch, wanted)
    rows = zip(stored[features.FILENAME].numpy(), stored[features.CLASS_TEXT].numpy(), scores.tolist(), strict=True)
    return [
        Answer(
            path=readable_path(path),
            actual=actual.decode(),
            label=labels[number] if labels else classes[int(scores[number].argmax())],
            scores={name: score if math.isfinite(score) else None for name, score in zip(classes, row, strict=True)},
        )
        for number, (path, actual, row) in enumerate(rows)
    ]


def _certainty(answer: Answer) -> float:
    score = answer.scores.get(answer.label)
    # What is no number comes first among the wrong answers, and is never the least certain right one.
    return math.inf if score is None else score


def _draw(small: Image.Image | None, heat: np.ndarray | None) -> Pictures:
    if small is None:
        return Pictures("", "")
    if heat is None or not heat.any():
        return Pictures(to_data_uri(small), "")
    opacity = Image.fromarray(heat.astype(np.float32)).resize(small.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(opacity), 0, 1)
    colours = (255 * matplotlib.colormaps["inferno"](strength)[..., :3]).astype(np.uint8)
    mask = Image.fromarray((255 * _OPACITY * strength).astype(np.uint8))
    return Pictures(to_data_uri(small), to_data_uri(Image.composite(Image.fromarray(colours), small, mask)))
