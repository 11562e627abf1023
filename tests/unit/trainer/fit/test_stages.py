"""Transfer learning: each stage changes what it should and nothing else, and no stage makes the classifier worse."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from crackgate.config.train import TrainOptions
from crackgate.contracts.training_images import TrainingImages
from trainer.features.backbone_engine import build_engine
from trainer.features.views import TrainingViews, Views, compute_views
from trainer.fit.stages import Stages, predict_eval, train_stages
from trainer.network.backbones import split_at_top
from trainer.network.classifier import assemble, build_head
from trainer.network.folded_backbone import fold_batch_norm

Draw = Callable[[int, int], tuple[np.ndarray, np.ndarray]]

# Enough for the toy backbone to learn something in each stage.
OPTIONS = TrainOptions(
    image_size=32,
    batch_size=16,
    views=1,
    dropout=0.1,
    head_epochs=12,
    head_learning_rate=0.1,
    fine_tune_epochs=4,
    fine_tune_learning_rate=0.01,
    fine_tune_share=0.4,
    patience=10,
    seed=5,
)


@dataclass(frozen=True)
class Trained:
    """A classifier in parts, before or after its training, and what it is trained on."""

    backbone: keras.Model
    lower: keras.Model
    upper: keras.Model
    head: keras.Model
    train: Views
    validation: Views
    validation_images: np.ndarray

    def fit(self, options: TrainOptions, logs: Path) -> Stages:
        return train_stages(self.upper, self.head, TrainingViews(self.train, self.validation), options, logs)

    def weights(self) -> list[np.ndarray]:
        return [*self.backbone.get_weights(), *self.head.get_weights()]


@pytest.fixture(scope="module")
def new_classifier(
    new_toy_backbone: Callable[[], keras.Model], lined_images: Draw, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[TrainOptions], Trained]:
    """Makes the parts and computes the views, as `run_fn` does."""

    def make(options: TrainOptions) -> Trained:
        keras.utils.set_random_seed(options.seed)
        backbone = fold_batch_norm(new_toy_backbone())
        lower, upper = split_at_top(backbone, options.fine_tune_share)
        engine = build_engine(lower, upper)
        folder = tmp_path_factory.mktemp("activations")

        def views(name: str, images: np.ndarray, labels: np.ndarray) -> Views:
            batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
            return compute_views(name, batches, len(images), lambda: engine, None, 1, folder / name)

        validation_images, validation_labels = lined_images(24, 2)
        return Trained(
            backbone=backbone,
            lower=lower,
            upper=upper,
            head=build_head(backbone.output_shape[-1], 2, options),
            train=views("train", *lined_images(64, 1)),
            validation=views("eval", validation_images, validation_labels),
            validation_images=validation_images,
        )

    return make


@dataclass(frozen=True)
class Fit:
    """A trained classifier, how its training went, and the weights from before."""

    classifier: Trained
    stages: Stages
    logs: Path
    lower: list[np.ndarray]
    upper: list[np.ndarray]
    head: list[np.ndarray]


@pytest.fixture(scope="module")
def fine_tuned(new_classifier: Callable[[TrainOptions], Trained], tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Both stages, in which the classifier improves."""
    classifier = new_classifier(OPTIONS)
    lower, upper, head = (part.get_weights() for part in (classifier.lower, classifier.upper, classifier.head))
    logs = tmp_path_factory.mktemp("logs")
    stages = classifier.fit(OPTIONS, logs)
    assert stages.fine_tune_kept
    return Fit(classifier, stages, logs, lower, upper, head)


def _with(**changes: object) -> TrainOptions:
    return TrainOptions.model_validate({**OPTIONS.model_dump(), **changes})


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(loss(labels, logits))


def _head_loss(head: keras.Model, views: Views) -> float:
    return _loss(keras.ops.convert_to_numpy(head(views.features[:, 0], training=False)), views.labels)


def _changed(before: list[np.ndarray], variables: list[keras.Variable]) -> list[bool]:
    return [bool((old != variable.numpy()).any()) for old, variable in zip(before, variables, strict=True)]


def test_training_the_head_lowers_its_loss_and_touches_nothing_else_and_may_be_the_only_stage(
    new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path
) -> None:
    classifier = new_classifier(OPTIONS)
    backbone, before = classifier.backbone.get_weights(), _head_loss(classifier.head, classifier.train)
    stages = classifier.fit(_with(fine_tune_epochs=0), tmp_path)
    assert stages.fine_tune == {} and not stages.fine_tune_kept
    assert [path.name for path in tmp_path.iterdir() if list(path.rglob("events.*"))] == ["head"]
    assert _head_loss(classifier.head, classifier.train) < 0.8 * before
    assert not any(_changed(backbone, classifier.backbone.weights))
    assert {name: len(values) for name, values in stages.head.items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), OPTIONS.head_epochs
    )


def test_fine_tuning_changes_the_upper_part_and_the_head_only(fine_tuned: Fit) -> None:
    classifier = fine_tuned.classifier
    assert not any(_changed(fine_tuned.lower, classifier.lower.weights))
    assert all(_changed(fine_tuned.head, classifier.head.weights))
    assert len(classifier.upper.weights) == 4 and all(_changed(fine_tuned.upper, classifier.upper.weights))


def test_fine_tuning_improves_the_whole_classifier_by_what_its_history_says(fine_tuned: Fit) -> None:
    classifier, stages = fine_tuned.classifier, fine_tuned.stages
    whole = assemble(classifier.backbone, classifier.head)
    loss = _loss(whole.predict(classifier.validation_images, verbose=0), classifier.validation.labels)
    # float16 activations cost a little.
    assert loss == pytest.approx(stages.fine_tune["val_loss"][-1], rel=1e-2)
    assert loss < min(stages.head["val_loss"])


def test_every_eval_image_is_predicted_once_as_it_is_in_the_stored_order(fine_tuned: Fit) -> None:
    classifier = fine_tuned.classifier
    whole = classifier.validation
    assert whole.activations is not None
    # Every other image chooses the epoch, and has an augmented view.
    choosing = np.arange(len(whole.labels)) % 2 == 1
    count = choosing.sum()
    noise = np.random.default_rng(0).normal(size=(count, 1, *whole.activations.shape[2:])).astype(np.float16)
    chosen = Views(
        np.concatenate([whole.activations[choosing], noise], axis=1),
        whole.features[choosing].repeat(2, axis=1),
        whole.labels[choosing],
    )
    others = Views(whole.activations[~choosing], whole.features[~choosing], whole.labels[~choosing])
    views = TrainingViews(classifier.train, chosen, others, choosing)
    logits, labels = predict_eval(classifier.upper, classifier.head, views, fine_tuned.stages)
    np.testing.assert_array_equal(labels, whole.labels)
    model = assemble(classifier.backbone, classifier.head)
    np.testing.assert_allclose(logits, model.predict(classifier.validation_images, verbose=0), rtol=1e-2, atol=1e-2)


def test_augmented_views_of_eval_choose_the_epoch_too(
    new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path
) -> None:
    classifier = new_classifier(OPTIONS)
    plain = classifier.validation
    strange = plain.features + np.random.default_rng(0).normal(0, 3, plain.features.shape).astype(np.float32)
    both = Views(None, np.concatenate([plain.features, strange], axis=1), plain.labels)
    stages = replace(classifier, validation=both).fit(_with(head_epochs=3, fine_tune_epochs=0), tmp_path)
    features = both.features.reshape(-1, both.features.shape[-1])
    logits = keras.ops.convert_to_numpy(classifier.head(features, training=False))
    assert min(stages.head["val_loss"]) == pytest.approx(_loss(logits, plain.labels.repeat(2)), rel=1e-4)


def test_fine_tuning_that_does_not_help_is_undone(
    new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path
) -> None:
    def swap_labels(classifier: Trained) -> None:
        # What it learns from train is then wrong on eval.
        np.subtract(1, classifier.validation.labels, out=classifier.validation.labels)

    brief = {"head_epochs": 1, "head_learning_rate": 1e-6}
    frozen, tuned = new_classifier(OPTIONS), new_classifier(OPTIONS)
    swap_labels(frozen)
    swap_labels(tuned)
    frozen.fit(_with(**brief, fine_tune_epochs=0), tmp_path / "frozen")
    stages = tuned.fit(_with(**brief), tmp_path / "tuned")
    assert not stages.fine_tune_kept
    assert stages.fine_tune["loss"][-1] < stages.head["loss"][-1]
    for undone, expected in zip(tuned.weights(), frozen.weights(), strict=True):
        np.testing.assert_array_equal(undone, expected)


def test_fine_tuning_that_is_not_clearly_worse_stays(
    new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path
) -> None:
    classifier = new_classifier(OPTIONS)
    # Steps so short that rounding decides whether the loss rises or falls.
    stages = classifier.fit(_with(fine_tune_epochs=1, fine_tune_learning_rate=1e-12), tmp_path)
    assert stages.fine_tune["val_loss"][0] == pytest.approx(min(stages.head["val_loss"]), rel=1e-2)
    assert stages.fine_tune_kept


def test_the_best_epoch_of_the_head_wins_and_its_stage_stops_when_patience_ends(
    new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path
) -> None:
    classifier = new_classifier(OPTIONS)
    # Steps so long that the loss soon goes up again.
    options = _with(head_epochs=200, head_learning_rate=1.0, patience=2, fine_tune_epochs=0)
    losses = classifier.fit(options, tmp_path).head["val_loss"]
    assert len(losses) < 200
    assert int(np.argmin(losses)) == len(losses) - 1 - 2
    assert _head_loss(classifier.head, classifier.validation) == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize(("part", "stage"), [("features", "head"), ("activations", "fine-tuning")])
def test_a_loss_that_is_not_finite_names_the_options_to_lower(
    part: str, stage: str, new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path
) -> None:
    classifier = new_classifier(OPTIONS)
    getattr(classifier.train, part)[:] = np.nan
    message = (
        rf"loss of the {stage} stage is no longer finite \(nan\): "
        r"lower train\.head_learning_rate or train\.fine_tune_learning_rate"
    )
    with pytest.raises(ValueError, match=message):
        classifier.fit(OPTIONS, tmp_path)


def test_the_seed_decides_every_weight(new_classifier: Callable[[TrainOptions], Trained], tmp_path: Path) -> None:
    brief = {"head_epochs": 2, "fine_tune_epochs": 1}
    trained = []
    for number, changes in enumerate((brief, brief, {**brief, "seed": 6, "fine_tune_epochs": 0})):
        options = _with(**changes)
        classifier = new_classifier(options)
        classifier.fit(options, tmp_path / str(number))
        trained.append(classifier)
    first, again, other = trained
    for weight, same in zip(first.weights(), again.weights(), strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-5, atol=1e-6)
    for weight, different in zip(first.head.get_weights(), other.head.get_weights(), strict=True):
        assert np.abs(weight - different).max() > 1e-3


def test_each_stage_has_its_tensorboard_log(fine_tuned: Fit) -> None:
    for stage in ("head", "fine_tune"):
        for split in ("train", "validation"):
            assert list((fine_tuned.logs / stage / split).glob("events.out.tfevents.*"))


def test_the_classifier_never_moves_its_batchnorm_statistics(
    new_classifier: Callable[[TrainOptions], Trained],
) -> None:
    classifier = new_classifier(OPTIONS)
    # One that no convolution took up.
    inputs = keras.Input(classifier.backbone.input_shape[1:])
    backbone = fold_batch_norm(keras.Model(inputs, keras.layers.BatchNormalization()(classifier.backbone(inputs))))
    before = backbone.get_weights()
    whole = assemble(backbone, classifier.head)
    # Somebody may load the Keras file and go on training.
    whole(classifier.validation_images, training=True)
    assert not any(_changed(before, backbone.weights))


def test_the_classifier_gives_logits_and_shares_its_weights(
    new_classifier: Callable[[TrainOptions], Trained],
) -> None:
    classifier = new_classifier(OPTIONS)
    whole = assemble(classifier.backbone, classifier.head)
    assert whole.output_shape == (None, 2)
    classifier.head.layers[-1].bias.assign([3.0, -5.0])
    logits = whole.predict(classifier.validation_images, verbose=0)
    assert (logits[:, 1] < 0).any()
    assert not np.allclose(logits.sum(axis=1), 1)
    shared = {id(variable) for part in (classifier.backbone, classifier.head) for variable in part.variables}
    assert {id(variable) for variable in whole.variables} == shared


@pytest.mark.parametrize(("kept", "loss"), [(True, 0.5), (False, 0.2)])
def test_the_kept_loss_is_that_of_the_stage_that_is_kept(kept: bool, loss: float) -> None:
    images = TrainingImages(available=8, learnt_from=8, views=8)
    history = {stage: {"val_loss": losses} for stage, losses in (("head", [0.2, 0.4]), ("fine_tune", [0.3, 0.5]))}
    assert Stages(**history, fine_tune_kept=kept, images=images).kept_loss == loss
    assert Stages(history["head"], {}, fine_tune_kept=False, images=images).kept_loss == 0.2
