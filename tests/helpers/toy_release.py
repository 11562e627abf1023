"""A small real release whose answers can be foretold: dark images are cracks, coloured ones are unfamiliar."""

from pathlib import Path

from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.scale import TrainedScale
from crackgate.releases import publish
from crackgate.releases.manifest import Lineage, Release

CLASSES = ["Negative", "Positive"]
SIZE = 32
THRESHOLD = 0.5


def export_toy(
    folder: Path,
    bias: float = 9,
    threshold: float = THRESHOLD,
    max_pixels: int = 50_000_000,
    side: int | None = None,
    knows_grey: bool = True,
) -> None:
    """Writes a SavedModel: an image's darkness, 0 to 1, decides; `bias` is that of the last layer.

    `side` is that of the images it was trained on, in pixels; None makes an older release, which does not say. These
    were grey; without `knows_grey` it does not know that.
    """
    import keras
    import numpy as np

    from crackgate.model.calibration import Calibration
    from crackgate.model.decision import Decision
    from crackgate.model.familiarity import fit_familiarity
    from crackgate.model.outputs import network_function
    from crackgate.model.stored_network import write_network
    from trainer.export.signatures import export_classifier

    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(-1 / 255, offset=1.0)(images)
    for number in range(5):
        x = keras.layers.Conv2D(3, 3, 2, padding="same", name=f"conv{number}")(x)
    backbone = keras.Model(images, x, name="toy")
    for number in range(5):
        kernel = np.zeros((3, 3, 3, 3), np.float32)
        kernel[1, 1] = np.eye(3)
        backbone.get_layer(f"conv{number}").set_weights([kernel, np.zeros(3, np.float32)])
    features = keras.Input((3,))
    head = keras.Model(features, keras.layers.Dense(2, name="logits")(features), name="head")
    head.set_weights([np.array([[-6, 6]] * 3, np.float32), np.array([bias, -bias], np.float32)])
    classifier = keras.Model(images, head(keras.layers.GlobalAveragePooling2D()(backbone(images))))
    # Darkness by channel, at two scales: of any grey, with a little colour.
    rng = np.random.default_rng(0)
    textures = (rng.uniform(-0.1, 1.1, (200, 1)) + rng.normal(0, 0.02, (200, 6))).astype(np.float32)
    familiarity = fit_familiarity(textures[:100], textures[100:]) if knows_grey else None
    calibration, decision = Calibration(1.0, (0.0, 0.0)), Decision((1,), threshold)
    scale = None if side is None else TrainedScale.of(np.array([[side, side]]))
    limits = ImageLimits(max_pixels=max_pixels)
    served = export_classifier(
        classifier, CLASSES, SIZE, folder, calibration, decision, limits, scale, backbone, head, familiarity
    )
    greys = np.linspace(0, 255, 4).astype(np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]
    pixels = np.broadcast_to(greys, (4, SIZE, SIZE, 3))
    assert write_network(network_function(served).get_concrete_function(), pixels, folder)


def release(model: Path, serving_dir: Path) -> int:
    """Publishes it; returns the new version's number."""
    folder = publish(model, serving_dir, Release(lineage=Lineage(pipeline="toy", run_id="toy")))
    return int(folder.name)
