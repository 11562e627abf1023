"""How a classifier trained on photographs of concrete ranks cracks on other surfaces and through other cameras.

Two classifiers with the same backbone are trained on the same photographs and scored on the same pictures:
- plain: logistic regression on the frozen backbone's averaged features of each image and two flipped and turned views.
- crackgate: the trainer, from stored examples to the served model.

The pictures are photographs of the test split, without copies in training, and the same through other cameras. Their
cracks also appear on scikit-image's bricks, gravel and grass, and on surfaces from the folder --surfaces. Real walls
count most: --walls takes folders of photographs that training never saw, sorted into Negative and Positive.

    python -m tools.benchmarks.surfaces --photographs FOLDER --count 2000
"""

import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import skimage.data
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tfx.components.trainer.fn_args_utils import FnArgs

from crackgate.config.train import TrainOptions
from crackgate.contracts import stored_example
from crackgate.contracts.card import read_card
from crackgate.images.copies.descriptor import describe
from crackgate.model.decoding import decode_image
from tools.benchmarks.copies import group
from tools.benchmarks.measurement import Table
from tools.benchmarks.photographs import argument_parser
from tools.benchmarks.surface_proxies import SIDE, Pixels, crack_shades, retaken, transplants
from trainer.network.backbones import build_backbone
from trainer.run_fn import run_fn

Labelled = tuple[list[Pixels], NDArray[np.int64]]
Scores = Callable[[list[Pixels]], NDArray[np.float64]]


class Model(NamedTuple):
    """Scores of pictures, and the score from which on a picture is called cracked."""

    scores: Scores
    threshold: float


CLASSES = ["Negative", "Positive"]
PER_CLASS = 150
PLAIN_VIEWS = 2
_AT_ONCE = 64


def main() -> None:
    """Prints one row per set of pictures."""
    parser = argument_parser(__doc__)
    parser.add_argument("--count", type=int, default=2000, help="photographs drawn from it")
    parser.add_argument("--surfaces", type=Path, help="a folder of photographs of other, sound surfaces")
    parser.add_argument(
        "--walls",
        type=Path,
        nargs="+",
        default=[],
        help="folders of Negative and Positive photographs of other surfaces",
    )
    parser.add_argument("--options", type=json.loads, default={}, help="of the trainer, as JSON")
    arguments = parser.parse_args()
    options = TrainOptions(**arguments.options)
    splits = read_splits(arguments.photographs, arguments.count)
    sets = make_sets(splits["test"], arguments.surfaces)
    walls = {wall.name: read_wall(wall) for wall in arguments.walls}
    models: dict[str, Model] = {}
    for name, train in (("plain", train_plain), ("crackgate", train_ours)):
        start = time.perf_counter()
        models[name] = train(splits, options)
        print(f"{name}: trained in {time.perf_counter() - start:.0f} s")
    print()
    table = Table("pictures <36 | number >6 | " + " | ".join(f"{name} >11.4f" for name in models))
    for name, (pictures, labels) in (sets | walls).items():
        scores = [model.scores(pictures) for model in models.values()]
        if name == "concrete" or name in walls:
            called = [score >= model.threshold for score, model in zip(scores, models.values(), strict=True)]
            table.add(f"{name}, accuracy", len(labels), *((found == labels).mean() for found in called))
        table.add(f"{name}, AUC", len(labels), *(roc_auc_score(labels, score) for score in scores))


def read_splits(folder: Path, count: int) -> dict[str, Labelled]:
    """Draws photographs at random, half of each class if possible, in splits that share no copies."""
    rng = np.random.default_rng(0)
    described, photographs, labels = [], {}, {}
    for label, name in enumerate(CLASSES):
        files = sorted((folder / name).glob("*.jpg"))
        for at in rng.permutation(len(files))[: count // len(CLASSES)]:
            image = Image.open(files[at]).convert("RGB").resize((SIDE, SIDE))
            key = f"{name}/{files[at].name}".encode()
            described.append((key, describe(np.asarray(image.convert("L")))))
            photographs[key], labels[key] = np.asarray(image), label
    if not described:
        raise SystemExit(f"no photographs in {folder}/{CLASSES[0]} and {CLASSES[1]}: give --photographs")
    keys: dict[str, list[bytes]] = {"train": [], "eval": [], "test": []}
    for key, group_id in sorted(group(described)[1].items()):
        place = hashlib.sha256(group_id).digest()[0] / 256
        keys["train" if place < 0.7 else "eval" if place < 0.8 else "test"].append(key)
    return {
        split: ([photographs[key] for key in chosen], np.array([labels[key] for key in chosen]))
        for split, chosen in keys.items()
    }


def read_wall(folder: Path) -> Labelled:
    """Reads every photograph of a folder that is sorted into `CLASSES`."""
    found = [(file, label) for label, name in enumerate(CLASSES) for file in sorted((folder / name).glob("*.*"))]
    if len({label for _, label in found}) < len(CLASSES):
        raise SystemExit(f"--walls {folder}: photographs are needed in both {CLASSES[0]}/ and {CLASSES[1]}/")
    pictures = [np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE))) for file, _ in found]
    return pictures, np.array([label for _, label in found])


def make_sets(test: Labelled, folder: Path | None) -> dict[str, Labelled]:
    """Returns the pictures to rank, by name."""
    rng = np.random.default_rng(1)
    pictures, labels = test
    found = (crack_shades(picture) for picture, label in zip(pictures, labels, strict=True) if label)
    shades = [crack for crack in found if crack is not None]
    surfaces = {"brick, gravel, grass": [skimage.data.brick(), skimage.data.gravel(), skimage.data.grass()]}
    if folder:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        surfaces[folder.name] = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    sets = {"concrete": test, "other cameras": ([retaken(picture, rng) for picture in pictures], labels)}
    for name, sound in surfaces.items():
        sets[name] = transplants(sound, shades, PER_CLASS, False, rng)
        sets[f"{name}, thin"] = transplants(sound, shades, PER_CLASS, True, rng)
        thin, thin_labels = sets[f"{name}, thin"]
        sets[f"{name}, thin, other cameras"] = ([retaken(picture, rng) for picture in thin], thin_labels)
    return sets


def train_plain(splits: dict[str, Labelled], options: TrainOptions) -> Model:
    """Trains a linear classifier on frozen features, which calls a picture cracked from a score of 0.5 on."""
    backbone = build_backbone(options.backbone, options.image_size, options.weights)
    pooled = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D()])
    flip = keras.layers.RandomFlip("horizontal_and_vertical", seed=0)
    turned = keras.Sequential([flip, keras.layers.RandomRotation(0.2, seed=1)])

    def resized(pictures: list[Pixels]) -> tf.Tensor:
        return tf.image.resize(np.stack(pictures), (options.image_size,) * 2, antialias=True)

    pictures, labels = splits["train"]
    images = resized(pictures)
    views = [images, *(turned(images, training=True) for _ in range(PLAIN_VIEWS))]
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    linear.fit(np.concatenate([pooled.predict(view, verbose=0) for view in views]), np.tile(labels, len(views)))
    return Model(lambda pictures: linear.predict_proba(pooled.predict(resized(pictures), verbose=0))[:, 1], 0.5)


def train_ours(splits: dict[str, Labelled], options: TrainOptions) -> Model:
    """Trains as the pipeline does, and returns the served model with its own threshold."""
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "eval"):
            _store(*splits[split], Path(folder, split))
        run_fn(
            FnArgs(
                train_files=[f"{folder}/train"],
                eval_files=[f"{folder}/eval"],
                serving_model_dir=f"{folder}/model",
                model_run_dir=f"{folder}/run",
                custom_config={"classes": CLASSES, "options": options.model_dump()},
            )
        )
        trained = tf.saved_model.load(f"{folder}/model")
        threshold = read_card(Path(folder, "model")).threshold
    assert threshold is not None, "Positive is a positive class"

    def score(pictures: list[Pixels]) -> NDArray[np.float64]:
        # Not by a signature: walls of another scale would be refused.
        pixels = [decode_image(tf.constant(_png(picture)), options.image_size) for picture in pictures]
        parts = [pixels[first : first + _AT_ONCE] for first in range(0, len(pixels), _AT_ONCE)]
        return np.concatenate([np.asarray(trained.score_pixels(tf.stack(part)))[:, 1] for part in parts])

    return Model(score, threshold)


def _store(pictures: list[Pixels], labels: NDArray[np.int64], file: Path) -> None:
    with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
        for at in np.random.default_rng(0).permutation(len(pictures)):
            example = tf.train.Example()
            example.features.feature[stored_example.ENCODED].bytes_list.value.append(_png(pictures[at]))
            example.features.feature[stored_example.CLASS_LABEL].int64_list.value.append(int(labels[at]))
            writer.write(example.SerializeToString())


def _png(picture: Pixels) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "PNG")
    return stored.getvalue()


if __name__ == "__main__":
    main()
