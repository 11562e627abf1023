"""Models of a user's own, as a module beside their photographs: good ones, and one of each mistake."""

from pathlib import Path

SOURCE = """
import keras


def build(image_size):
    images = keras.Input((image_size, image_size, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    for number in range(3):
        x = keras.layers.Conv2D(6, 3, 2, padding="same", name=f"conv_{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    return keras.Model(images, x, name="small")


def around_another(image_size):
    images = keras.Input((None, None, 3))
    inner = build(image_size)
    return keras.Model([images], inner(keras.layers.GaussianNoise(0.1)(images), training=False))


def sequential(image_size):
    return keras.Sequential([keras.Input((image_size, image_size, 3)), *build(image_size).layers[1:]])


@keras.saving.register_keras_serializable("own_models")
class Tenth(keras.layers.Layer):
    def call(self, images):
        return images / 10


def with_own_layer(image_size):
    images = keras.Input((image_size, image_size, 3))
    return keras.Model(images, keras.layers.Conv2D(4, 3)(Tenth()(images)))


def partly_float32(image_size):
    images = keras.Input((image_size, image_size, 3))
    inner = keras.Sequential([keras.Input((16, 16, 4)), keras.layers.Conv2D(4, 1, name="inner", dtype="float32")])
    x = inner(keras.layers.Conv2D(4, 3, 2, padding="same", name="first")(images))
    x = keras.layers.BatchNormalization(dtype="float32", name="norm")(keras.layers.ReLU(name="relu")(x))
    return keras.Model(images, keras.layers.DepthwiseConv2D(3, padding="same", name="last")(x))


def of_one_size(image_size):
    images = keras.Input((image_size, image_size, 3))
    rows = keras.layers.Reshape((image_size**2, 3))(images)
    map_ = keras.layers.Reshape((image_size, image_size, 4))(keras.layers.Dense(4)(rows))
    return keras.Model(images, keras.layers.MaxPooling2D(32)(map_))


class Unknown(keras.layers.Layer):
    def call(self, images):
        return images


def with_unknown_layer(image_size):
    images = keras.Input((image_size, image_size, 3))
    return keras.Model(images, keras.layers.Conv2D(4, 3)(Unknown()(images)))


@keras.saving.register_keras_serializable("own_models")
class Unconfigured(keras.layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)

    def call(self, images):
        return images / 10


def with_unconfigured_layer(image_size):
    images = keras.Input((image_size, image_size, 3))
    return keras.Model(images, keras.layers.Conv2D(4, 3)(Unconfigured(name="mine")(images)))


class Subclass(keras.Model):
    pass


def subclass(image_size):
    return Subclass()


def without_input(image_size):
    return keras.Sequential([keras.layers.Conv2D(4, 3)])


def two_inputs(image_size):
    both = [keras.Input((image_size, image_size, 3)) for _ in range(2)]
    return keras.Model(both, keras.layers.Conv2D(4, 3)(keras.layers.Add()(both)))


def another_size(image_size):
    return build(2 * image_size)


def of_bytes(image_size):
    images = keras.Input((image_size, image_size, 3), dtype="uint8")
    return keras.Model(images, keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(images)))


def pooled(image_size):
    backbone = build(image_size)
    return keras.Model(backbone.input, keras.layers.GlobalAveragePooling2D()(backbone.output))


def without_weights(image_size):
    images = keras.Input((image_size, image_size, 3))
    return keras.Model(images, keras.layers.MaxPooling2D()(images))


def nothing(image_size):
    return None


def broken(image_size):
    raise RuntimeError("no such checkpoint")


def without_argument():
    return build(32)


VALUE = 3


def flips(image_size):
    return keras.Sequential([keras.layers.RandomFlip()])


def shrinks(image_size):
    return keras.Sequential([keras.layers.CenterCrop(8, 8)])


def normalises(image_size):
    return keras.Sequential([keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 255)])


def brightens(image_size):
    return keras.Sequential([keras.layers.Rescaling(3)])


def takes_no_images(image_size):
    return keras.Sequential([keras.layers.Reshape((5, 5, 3))])


def forgets(image_size):
    return keras.Sequential([Unknown()])
"""


def write_own_models(folder: Path, module: str) -> None:
    """Writes the module into a folder; a process imports a name once, so each test file takes a name of its own."""
    (folder / f"{module}.py").write_text(SOURCE, encoding="utf-8")
