"""Keras' settings, which a user's keras.json may have changed for other programs."""

import keras


def set_keras_up() -> None:
    """Sets what the trainer's models need; raises ValueError where Keras runs on something else than TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Keras runs on {keras.backend.backend()!r}, allowed is 'tensorflow': set KERAS_BACKEND=tensorflow before "
            "the first import of Keras"
        )
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
