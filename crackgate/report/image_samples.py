"""The notable test images as a report shows them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image

from crackgate.contracts import stored_example
from crackgate.contracts.doubtful_label import SHOWN
from crackgate.contracts.evaluation import NotableImages
from crackgate.images.image_folder import readable_path
from crackgate.pages.thumbnails import ICON_SIDE, make_thumbnail, shrink, to_data_uri
from crackgate.report.content import ReportImages, explained_class
from crackgate.report.grad_cam import GradCam

# Pixels.
_SIDE = 224
# Opacity of the heat map where it is hottest.
_OPACITY = 0.65


def draw(
    images: NotableImages,
    doubtful: Sequence[str],
    keras_file: Path | None,
    examples: Path,
    classes: list[str],
    positives: Sequence[str],
) -> dict[str, ReportImages]:
    """Draws test images, each with the heat map of the pixels that raised the score of a class; returns them by path.

    The class is `explained_class`, where `positives` are the positive ones of all `classes`. The first of the
    `doubtful`, paths of test images, have no heat map; the others and those that are only listed are icons. The
    classifier in `keras_file` leads from images to logits. `examples` is the folder of the stored examples.
    """
    notable = [image for of_class in images.by_class.values() for image in of_class]
    labels = {image.path: explained_class(image, positives) for image in notable}
    large = labels.keys() | set(doubtful[:SHOWN])
    listed = {image.path for group in images.listed.values() for image in group} | set(doubtful)
    grad_cam = GradCam(keras.models.load_model(keras_file, compile=False)) if keras_file else None
    thumbnails, icons, pixels = {}, {}, {}
    for path, encoded in _test_images(examples):
        if path in listed:
            icons[path] = make_thumbnail(encoded, ICON_SIDE)
        if path in large:
            thumbnails[path] = shrink(encoded, _SIDE)
            if grad_cam and labels.get(path) in classes:
                pixels[path] = grad_cam.decode(encoded)
    heat = {}
    if grad_cam and pixels:
        asked = [classes.index(labels[path]) for path in pixels]
        heat = dict(zip(pixels, grad_cam.heat_maps(list(pixels.values()), asked), strict=True))
    return {
        path: ReportImages(*_draw(thumbnails.get(path), heat.get(path)), icons.get(path, ""))
        for path in dict.fromkeys([*thumbnails, *icons])
    }


def _test_images(examples: Path) -> Iterator[tuple[str, bytes]]:
    """Path and encoded image of every test image."""
    files = sorted(str(file) for file in (examples / f"Split-{stored_example.TEST_SPLIT}").glob("*.gz"))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        stored = tf.train.Example.FromString(record).features.feature
        path, encoded = (stored[name].bytes_list.value[0] for name in (stored_example.FILENAME, stored_example.ENCODED))
        yield readable_path(path), encoded


def _draw(small: Image.Image | None, heat: np.ndarray | None) -> tuple[str, str]:
    if small is None:
        return "", ""
    if heat is None or not heat.any():
        return to_data_uri(small), ""
    opacity = Image.fromarray(heat.astype(np.float32)).resize(small.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(opacity), 0, 1)
    colours = (255 * matplotlib.colormaps["inferno"](strength)[..., :3]).astype(np.uint8)
    mask = Image.fromarray((255 * _OPACITY * strength).astype(np.uint8))
    return to_data_uri(small), to_data_uri(Image.composite(Image.fromarray(colours), small, mask))
