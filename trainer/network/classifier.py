"""The classifier: a head on a backbone."""

import keras

from crackgate.config.train import TrainOptions
from trainer.network.precision import FULL_PRECISION


def build_head(channels: int, classes: int, options: TrainOptions) -> keras.Model:
    """Dropout and one dense layer, from averaged features (batch, channels) to logits (batch, classes)."""
    return keras.Sequential(
        [
            keras.Input((channels,)),
            keras.layers.Dropout(options.dropout, seed=options.seed),
            # In full precision whatever the rest computes in: softmax and loss need it. The seed is its own, since
            # Keras would draw one from Python's generator, which threads of other libraries use meanwhile.
            keras.layers.Dense(
                classes,
                dtype=FULL_PRECISION,
                kernel_initializer=keras.initializers.GlorotUniform(options.seed),
                name="logits",
            ),
        ],
        name="head",
    )


def assemble(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """The model from a backbone's input to logits, with shared weights."""
    image = keras.Input(backbone.input_shape[1:], name="image")
    features = keras.layers.GlobalAveragePooling2D()(backbone(image))
    return keras.Model(image, head(features), name="classifier")
