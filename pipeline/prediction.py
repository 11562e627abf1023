"""Scoring image files with a released model.

Importing this module imports TensorFlow, which takes some seconds.
"""

import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import tensorflow as tf
from pydantic import BaseModel

from components.image_folder import find_files, read_regular_file
from components.images import ImageLimits, RejectedImageError, canonical_image
from components.release_files import CARD_FILE
from trainer.serving import IMAGES_AT_ONCE


class Prediction(BaseModel):
    """The answer for one file.

    Attributes:
        image: The file's path.
        label: The model's decision; None when the file could not be scored.
        probability: The calibrated score of that class, 0 to 1.
        scores: The calibrated score of every class; they sum to 1.
        is_positive: Whether the positive class's score reaches the model's threshold; None without such a class.
        error: Why there is no answer.
    """

    image: str
    label: str | None = None
    probability: float | None = None
    scores: dict[str, float] | None = None
    is_positive: bool | None = None
    error: str | None = None


def predict(model_dir: Path, paths: Iterable[Path]) -> Iterator[Prediction]:
    """Scores files through the model's byte signature, in the given order; folders stand for every file below them.

    Args:
        model_dir: A released version's folder.
        paths: Files and folders.
    """
    model = tf.saved_model.load(str(model_dir))
    classes = read_card(model_dir)["classes"]
    files = (file for path in paths for file in _expand(path))
    while batch := list(islice(files, IMAGES_AT_ONCE)):
        yield from _score(model.signatures["predict_images"], classes, batch)


def read_card(model_dir: Path) -> dict[str, Any]:
    """What `export_classifier` wrote beside the model; models of earlier versions say less."""
    card: dict[str, Any] = json.loads((model_dir / CARD_FILE).read_text(encoding="utf-8"))
    return card


def _expand(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (path / file.path for file in find_files(path))
    else:
        yield path


def _score(
    signature: "tf.types.experimental.GenericFunction", classes: list[str], files: list[Path]
) -> list[Prediction]:
    contents = [_read(file) for file in files]
    readable = [content for content in contents if isinstance(content, bytes)]
    answers = (
        {name: values.numpy() for name, values in signature(image_bytes=tf.constant(readable)).items()}
        if readable
        else {}
    )
    predictions, row = [], 0
    for file, content in zip(files, contents, strict=True):
        name = str(file).encode("utf-8", "backslashreplace").decode()
        if isinstance(content, str):
            predictions.append(Prediction(image=name, error=content))
            continue
        predictions.append(_prediction(name, classes, {key: values[row] for key, values in answers.items()}))
        row += 1
    return predictions


def _prediction(image: str, classes: list[str], answer: dict[str, Any]) -> Prediction:
    if answer.get("error"):
        return Prediction(image=image, error=answer["error"].decode())
    scores = dict(zip(classes, answer["scores"].tolist(), strict=True))
    if not all(map(math.isfinite, scores.values())):
        return Prediction(image=image, error="the model's scores are no numbers: do not use this model")
    label = answer["label"].decode()
    positive = bool(answer["is_positive"]) if "is_positive" in answer else None
    return Prediction(image=image, label=label, probability=scores[label], scores=scores, is_positive=positive)


def _read(file: Path) -> bytes | str:
    """The image in the form that ingest would have stored, or why it cannot be had."""
    limits = ImageLimits()
    try:
        return canonical_image(read_regular_file(str(file), limits.max_bytes), limits).encoded
    except RejectedImageError as rejection:
        return str(rejection)
    except OSError as error:
        return f"unreadable: {error.strerror}"
