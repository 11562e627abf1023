"""The description of the training images that a release carries."""

import logging

import keras
import numpy as np

from crackgate.config.train import TrainOptions
from crackgate.model.familiarity import Familiarity, fit_familiarity
from trainer.features.backbone_engine import build_engine
from trainer.imbalance import draw_images
from trainer.input_pipeline import read_images, read_labels
from trainer.network.texture import texture_of

log = logging.getLogger("crackgate")

# For each split; more change the distances by less than another seed does.
_MOST_IMAGES = 1500
_READ_AT_ONCE = 32


def learn_familiarity(
    backbone: keras.Model, options: TrainOptions, train_files: list[str], eval_files: list[str]
) -> Familiarity | None:
    """Describes the textures of training images as they are, seen by a trained backbone; eval sets the limit.

    Up to 1,500 images of each are looked at. None where there are too few, and the log says so.
    """
    texture = texture_of(backbone)
    place = keras.Input(texture.shape[1:])
    # An engine averages over the map that its upper part gives: this one has a single place.
    parts = keras.Model(backbone.input, texture), keras.Model(place, keras.layers.Identity()(place))
    engine = build_engine(*parts)
    textures = []
    for files in (train_files, eval_files):
        labels = read_labels(files)
        chosen = draw_images(labels, _MOST_IMAGES, options.imbalance, np.random.default_rng(options.seed))
        found = np.empty((int(chosen.sum()), texture.shape[-1]), np.float32)
        done = 0
        for images, _ in read_images(files, options.image_size, _READ_AT_ONCE, chosen):
            engine.start(images.numpy(), None, found[done : done + len(images)])
            done += len(images)
        engine.finish()
        textures.append(found)
    familiarity = fit_familiarity(*textures)
    if familiarity is None:
        log.warning(
            "two images in train and in eval are needed to describe them: this model cannot tell strange images"
        )
    return familiarity
