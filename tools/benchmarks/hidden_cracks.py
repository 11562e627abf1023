"""How many cracks the augmentation hides: a hidden crack is a wrong label.

It takes the photographs that a model calls positive, and counts the augmented views that the model calls so no more: by
all layers of the augmentation together, and by each alone. A person still sees many of these cracks: a threshold near 1
misses views that the model itself finds likelier cracked than sound. So the last column counts scores below 0.5.
Photographs that trained the model count, too.

    python -m tools.benchmarks.hidden_cracks --photographs FOLDER --model serving/VERSION
"""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

# Registers the layers of crackgate's own augmentation.
import trainer.augmentation.model as own_augmentation
from crackgate.contracts.card import read_card
from crackgate.model.decision import Decision, positive_score
from crackgate.model.decoding import decode_image
from tools.benchmarks.measurement import Table
from tools.benchmarks.photographs import argument_parser

_AT_ONCE = 64


def main() -> None:
    """Prints one row for the augmentation, and one for each of its layers."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a released version")
    parser.add_argument("--augmentation", type=Path, help="augmentation.keras of a run; without it crackgate's own")
    parser.add_argument("--positive", default="Positive", help="the sub-folder of cracked photographs")
    parser.add_argument("--count", type=int, default=300, help="photographs drawn from it")
    parser.add_argument("--views", type=int, default=3, help="augmented views of each")
    arguments = parser.parse_args()
    files = sorted((arguments.photographs / arguments.positive).glob("*.jpg"))
    drawn = np.random.default_rng(0).permutation(len(files))[: arguments.count]
    if not len(drawn):
        raise SystemExit(f"error: --photographs: no JPEG file is in {arguments.photographs / arguments.positive}")
    card, trained = read_card(arguments.model), tf.saved_model.load(str(arguments.model))
    if card.threshold is None:
        raise SystemExit(f"error: --model: {str(arguments.model)!r} has no positive class: nothing can be hidden")
    decision, size = Decision(card.positive_labels, card.threshold), card.image_size

    def served(pixels: tf.Tensor) -> np.ndarray:
        # Not by a signature: images of the network's size may be out of the release's scale.
        return trained.score_pixels(tf.clip_by_value(tf.round(pixels), 0, 255)).numpy()

    images = tf.stack([decode_image(tf.constant(files[at].read_bytes()), size) for at in drawn])
    called = decision.is_positive(_scores(served, images))
    print(f"{called.sum()} of {len(called)} photographs are called positive as they are\n")
    images = tf.boolean_mask(images, called)
    if arguments.augmentation:
        augmentation = keras.models.load_model(arguments.augmentation)
    else:
        augmentation = own_augmentation.build_augmentation(0)
    table = Table("augmentation <36 | views >6 | hidden >8.4f | below 0.5 >9.4f")
    for name, change in [("all", augmentation), *((layer.name, layer) for layer in augmentation.layers)]:
        scores = np.concatenate([_scores(served, _augmented(change, images)) for _ in range(arguments.views)])
        likelier_sound = positive_score(scores, decision.labels) < 0.5
        table.add(name, len(scores), (~decision.is_positive(scores)).mean(), likelier_sound.mean())


def _augmented(change: Callable[..., tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    return tf.concat([change(part, training=True) for part in _parts(images)], axis=0)


def _scores(served: Callable[[tf.Tensor], np.ndarray], images: tf.Tensor) -> np.ndarray:
    """The model's scores: float32 (images, classes)."""
    return np.concatenate([served(part) for part in _parts(images)])


def _parts(images: tf.Tensor) -> list[tf.Tensor]:
    return [images[first : first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE)]


if __name__ == "__main__":
    main()
