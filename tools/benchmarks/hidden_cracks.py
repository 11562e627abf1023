"""How many cracks the augmentation hides: a hidden crack is a wrong label.

Of the photographs that a model calls positive, it counts the augmented views that the model calls so no more: by all
layers of the augmentation together, and by each alone. A person still sees many of these cracks, so this is an upper
bound. Photographs that trained the model count, too.

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
from crackgate.model.decision import Decision
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
        return decision.is_positive(trained.score_pixels(tf.clip_by_value(tf.round(pixels), 0, 255)).numpy())

    images = tf.stack([decode_image(tf.constant(files[at].read_bytes()), size) for at in drawn])
    called = _calls(served, images)
    print(f"{called.sum()} of {len(called)} photographs are called positive as they are\n")
    images = tf.boolean_mask(images, called)
    if arguments.augmentation:
        augmentation = keras.models.load_model(arguments.augmentation)
    else:
        augmentation = own_augmentation.build_augmentation(0)
    table = Table("augmentation <36 | views >6 | hidden >8.4f")
    for name, change in [("all", augmentation), *((layer.name, layer) for layer in augmentation.layers)]:
        hidden = np.concatenate([~_calls(served, _augmented(change, images)) for _ in range(arguments.views)])
        table.add(name, len(hidden), hidden.mean())


def _augmented(change: Callable[..., tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    return tf.concat([change(part, training=True) for part in _parts(images)], axis=0)


def _calls(served: Callable[[tf.Tensor], np.ndarray], images: tf.Tensor) -> np.ndarray:
    """Whether the model calls each image positive: bool (images,)."""
    return np.concatenate([served(part) for part in _parts(images)])


def _parts(images: tf.Tensor) -> list[tf.Tensor]:
    return [images[first : first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE)]


if __name__ == "__main__":
    main()
