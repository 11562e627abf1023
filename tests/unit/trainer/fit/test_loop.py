"""The loop of one stage: whose weights it leaves."""

from pathlib import Path

import keras
import numpy as np
import pytest

from trainer.fit.batches import Inputs
from trainer.fit.loop import Plan, fit


@pytest.mark.parametrize(("patience", "epochs", "kept"), [(3, 4, 0), (99, 6, 0), (None, 6, -1)])
def test_a_stage_with_patience_keeps_its_best_epoch_and_one_without_its_last(
    patience: int | None, epochs: int, kept: int, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    labels = np.arange(40) % 2
    values = (np.random.default_rng(0).normal(0, 0.1, (40, 3)) + labels[:, None]).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    # Whatever is learnt is wrong there.
    validation = Inputs(values, 1 - labels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    plan = Plan("head", batch_size=8, epochs=6, patience=patience)
    rate = keras.optimizers.Adam(0.1)
    history = fit(
        model, rate, loss, Inputs(values, labels), lambda _: np.arange(40), validation, plan, tmp_path, checkpoint=None
    )
    losses = history["val_loss"]
    assert len(losses) == epochs and losses == sorted(losses) and losses[-1] > 1.1 * losses[0]
    reached = float(np.mean(loss(validation.labels, model(values))))
    assert reached == pytest.approx(losses[kept], rel=1e-4)
