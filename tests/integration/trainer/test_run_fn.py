"""TFX's Trainer, run by TFX's launcher on what ImageExampleGen stored: everything that it promises is there."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx import v1 as tfx
from tfx.components.trainer.fn_args_utils import FnArgs

from components.image_example_gen.component import ImageExampleGen
from crackgate.config.data import DataOptions, SplitRatios
from crackgate.contracts import stored_example
from crackgate.images.sample_data import write_sample_data
from crackgate.model.calibration import Calibration
from crackgate.model.decoding import decode_image
from tests.helpers.own_models import write_own_models
from trainer.features import training_views
from trainer.network.backbones import build_backbone
from trainer.run_fn import run_fn

if TYPE_CHECKING:
    from conftest import Bench

# It would reach everybody's console.
pytestmark = pytest.mark.filterwarnings("error:Your input ran out of data")

CLASSES = ["Negative", "Positive"]
SIZE = 64
OPTIONS: dict[str, Any] = {
    "backbone": "efficientnet-lite0",
    "weights": "imagenet",
    "image_size": SIZE,
    "batch_size": 16,
    "views": 2,
    "dropout": 0.2,
    "head_epochs": 5,
    "head_learning_rate": 0.01,
    "fine_tune_epochs": 2,
    "fine_tune_learning_rate": 1e-4,
    "fine_tune_share": 0.1,
    "patience": 5,
    "seed": 3,
}


def _read(files: list[str]) -> list[tf.train.Example]:
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    return [tf.train.Example.FromString(record) for record in records]


@dataclass(frozen=True)
class Outcome:
    """What a training left behind."""

    examples: Path
    model: Path
    model_run: Path
    history: dict[str, Any]

    def stored(self, split: str) -> list[tf.train.Example]:
        return _read(sorted(map(str, (self.examples / f"Split-{split}").glob("*.gz"))))

    def card(self) -> dict[str, Any]:
        return json.loads((self.model / "assets.extra" / "classifier.json").read_text(encoding="utf-8"))

    def report(self) -> dict[str, Any]:
        return json.loads((self.model_run / "classification_report.json").read_text(encoding="utf-8"))

    @cached_property
    def loaded(self) -> Any:
        return tf.saved_model.load(str(self.model))

    def predict(self, examples: list[tf.train.Example]) -> dict[str, np.ndarray]:
        serialized = tf.constant([example.SerializeToString() for example in examples])
        answer = self.loaded.signatures["serving_default"](examples=serialized)
        return {name: value.numpy() for name, value in answer.items()}


@pytest.fixture(scope="module")
def outcome(new_bench: Callable[[], "Bench"], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The two components run on 80 photographs."""
    photographs = tmp_path_factory.mktemp("photographs")
    write_sample_data(photographs, 80, size=SIZE)
    example_gen = ImageExampleGen(
        photographs,
        CLASSES,
        DataOptions(split=SplitRatios(train=70, eval=20, test=10), max_rejected_share=0.0, max_imbalance=1.0),
    )
    trainer = tfx.components.Trainer(
        run_fn="trainer.run_fn.run_fn",
        examples=example_gen.outputs["examples"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config={"classes": CLASSES, "options": OPTIONS},
    )
    bench = new_bench()
    bench.run(example_gen, trainer)
    model_run = Path(bench.output("Trainer", "model_run").uri)
    return Outcome(
        examples=Path(bench.output("ImageExampleGen", "examples").uri),
        model=Path(bench.output("Trainer", "model").uri) / "Format-Serving",
        model_run=model_run,
        history=json.loads((model_run / "history.json").read_text(encoding="utf-8")),
    )


def _train_again(outcome: Outcome, folder: Path, work_dir: Path | None = None, **changes: Any) -> Outcome:
    """Calls `run_fn` as TFX does, on the same examples, with other options."""
    patterns = {split: [str(outcome.examples / f"Split-{split}" / "*")] for split in ("train", "eval")}
    run_fn(
        FnArgs(
            train_files=patterns["train"],
            eval_files=patterns["eval"],
            serving_model_dir=str(folder / "model"),
            model_run_dir=str(folder / "run"),
            custom_config={
                "classes": CLASSES,
                "options": {**OPTIONS, **changes},
                **({"work_dir": str(work_dir)} if work_dir else {}),
            },
        )
    )
    history = json.loads((folder / "run" / "history.json").read_text(encoding="utf-8"))
    return Outcome(outcome.examples, folder / "model", folder / "run", history)


def test_every_output_is_where_it_should_be(outcome: Outcome) -> None:
    assert (outcome.model / "saved_model.pb").is_file()
    card = outcome.card()
    assert (card["classes"], card["image_size"], card["positive_classes"]) == (CLASSES, SIZE, ["Positive"])
    assert 0 < card["threshold"] < 1 and card["temperature"] > 0 and len(card["bias"]) == 2
    # Nothing else: the stored activations are gone, and with them gigabytes.
    assert sorted(path.name for path in outcome.model_run.iterdir()) == [
        "augmentation.keras",
        "augmentation.png",
        "classification_report.json",
        "classifier.keras",
        "cpu_seconds.json",
        "doubtful_labels.json",
        "fine_tune",
        "head",
        "history.json",
        "reference.tfrecord.gz",
        "reliability.png",
        "training_curves.png",
    ]
    for name in ("training_curves.png", "reliability.png", "augmentation.png"):
        with Image.open(outcome.model_run / name) as picture:
            picture.load()


def test_every_part_of_the_training_has_its_cpu_seconds(outcome: Outcome) -> None:
    parts = json.loads((outcome.model_run / "cpu_seconds.json").read_text(encoding="utf-8"))
    stages = {"network", "views", "head", "fine-tuning"}
    assert parts.keys() == stages | {"reports", "familiarity", "export", "augmentation sheet"}
    assert min(parts.values()) > 0


def test_the_history_covers_both_stages(outcome: Outcome) -> None:
    for stage, epochs in (("head", 5), ("fine_tune", 2)):
        lengths = {measure: len(values) for measure, values in outcome.history[stage].items()}
        assert lengths == dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), epochs)
    # Real weights on real differences: even a few epochs teach something.
    assert outcome.history["head"]["loss"][-1] < outcome.history["head"]["loss"][0]


@pytest.mark.parametrize("stage", ["head", "fine_tune"])
def test_tensorboard_shows_the_losses_of_the_history(outcome: Outcome, stage: str) -> None:
    for split, measure in (("train", "loss"), ("validation", "val_loss")):
        (file,) = (outcome.model_run / stage / split).glob("events.out.tfevents.*")
        losses = [
            float(tf.make_ndarray(value.tensor))
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
            if value.tag == "epoch_loss"
        ]
        assert losses == pytest.approx(outcome.history[stage][measure], rel=1e-5)


def test_the_keras_file_and_the_savedmodel_agree_on_stored_examples(outcome: Outcome) -> None:
    examples = outcome.stored("test")
    encoded = [example.features.feature[stored_example.ENCODED].bytes_list.value[0] for example in examples]
    # Loading it must need none of our code.
    model = keras.models.load_model(outcome.model_run / "classifier.keras")
    logits = model.predict(np.stack([decode_image(image, SIZE) for image in encoded]), verbose=0)
    card = outcome.card()
    scores = Calibration(card["temperature"], card["bias"]).scores(logits)
    np.testing.assert_allclose(outcome.predict(examples)["scores"], scores, atol=1e-5)


def test_the_savedmodel_gives_the_reference_images_the_trainers_scores(outcome: Outcome) -> None:
    reference = _read([str(outcome.model_run / "reference.tfrecord.gz")])
    expected = np.array([example.features.feature["reference/scores"].float_list.value for example in reference])
    assert len(reference) == min(32, len(outcome.stored("eval"))) and np.ptp(expected[:, 0]) > 0.1
    np.testing.assert_allclose(outcome.predict(reference)["scores"], expected, atol=1e-5)
    stored = {
        example.features.feature[stored_example.FILENAME].bytes_list.value[0] for example in outcome.stored("eval")
    }
    assert stored.issuperset(
        example.features.feature[stored_example.FILENAME].bytes_list.value[0] for example in reference
    )


def test_the_model_knows_its_own_images_from_others(outcome: Outcome) -> None:
    reference = _read([str(outcome.model_run / "reference.tfrecord.gz")])
    recorded = [example.features.feature["reference/unfamiliarity"].float_list.value[0] for example in reference]
    np.testing.assert_allclose(outcome.predict(reference)["unfamiliarity"], recorded, rtol=1e-4)
    assert outcome.card()["familiarity"] == {
        "train_images": len(outcome.stored("train")),
        "eval_images": len(outcome.stored("eval")),
        "eval_beyond": int((outcome.predict(outcome.stored("eval"))["unfamiliarity"] > 1).sum()),
    }
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    stored = tf.train.Example()
    stored.features.feature[stored_example.ENCODED].bytes_list.value[:] = [tf.io.encode_png(noise).numpy()]
    own = outcome.predict(outcome.stored("test"))["unfamiliarity"]
    assert (own <= 1).mean() >= 0.9
    assert outcome.predict([stored])["unfamiliarity"][0] > max(1, own.max())


def test_the_report_is_about_the_exported_model_on_eval(outcome: Outcome) -> None:
    examples = outcome.stored("eval")
    labels = [example.features.feature[stored_example.CLASS_TEXT].bytes_list.value[0] for example in examples]
    report = outcome.report()
    assert {name: report[name]["support"] for name in CLASSES} == {
        name: labels.count(name.encode()) for name in CLASSES
    }
    answer = outcome.predict(examples)
    assert report["accuracy"] == pytest.approx(np.mean(answer["label"] == labels))
    # 0.995 of so few cracks is all of them.
    decision, cracked = report["decision"], np.array(labels) == b"Positive"
    assert decision["positives"] == cracked.sum()
    assert decision["found"] == (cracked & answer["is_positive"]).sum() == cracked.sum() - decision["given_up"]
    assert decision["threshold"] == outcome.card()["threshold"]
    assert decision["precision"] == pytest.approx(decision["found"] / answer["is_positive"].sum())
    assert decision["recall_shown"] < decision["target_recall"] == 0.995
    # The images that it names are those that the served model scores so.
    paths = [example.features.feature[stored_example.FILENAME].bytes_list.value[0].decode() for example in examples]
    served = dict(zip(paths, answer["scores"][:, 1], strict=True))
    for image in [decision["lowest_found"], *decision["check_labels"]]:
        # The scores come from activations that are stored in float16: each is nearest to that of its own image.
        assert min(served, key=lambda path, score=image["score"]: abs(served[path] - score)) == image["path"]
        assert image["path"].startswith(image["actual"]) and image["score"] == pytest.approx(
            served[image["path"]], abs=1e-3
        )
    wrong = [path for path, truth, called in zip(paths, cracked, answer["is_positive"], strict=True) if truth != called]
    assert {image["path"] for image in decision["check_labels"]} == set(wrong) and decision["misclassified"] == len(
        wrong
    )


def test_the_reported_calibration_is_the_one_served(outcome: Outcome) -> None:
    examples = outcome.stored("eval")
    cracked = [
        example.features.feature[stored_example.CLASS_TEXT].bytes_list.value[0] == b"Positive" for example in examples
    ]
    calibration, card = outcome.report()["calibration"], outcome.card()
    assert (calibration["temperature"], calibration["bias"]) == (card["temperature"], card["bias"])
    assert set(calibration["expected_calibration_error"]) == {"before", "after"}
    # The most likely bias: the mean score is the share, but for the prior that holds the bias near 0.
    expected = np.mean(cracked) - card["bias"][1] / len(cracked)
    assert outcome.predict(examples)["scores"][:, 1].mean() == pytest.approx(expected, abs=1e-3)


def test_a_positive_class_can_be_chosen_and_its_recall_is_the_goal(frozen: Outcome) -> None:
    assert frozen.card()["positive_classes"] == ["Negative"]
    decision = frozen.report()["decision"]
    assert decision["recall"] >= 0.8 and decision["positive_classes"] == ["Negative"]
    answer = frozen.predict(frozen.stored("eval"))
    np.testing.assert_array_equal(answer["is_positive"], answer["scores"][:, 0] >= np.float32(decision["threshold"]))
    np.testing.assert_array_equal(answer["is_positive"], answer["label"] == b"Negative")


def test_eval_without_a_positive_image_is_refused_before_training(outcome: Outcome, tmp_path: Path) -> None:
    sound = [
        example
        for example in outcome.stored("eval")
        if example.features.feature[stored_example.CLASS_TEXT].bytes_list.value[0] == b"Negative"
    ]
    (tmp_path / "Split-eval").mkdir()
    (tmp_path / "Split-train").symlink_to(outcome.examples / "Split-train")
    with tf.io.TFRecordWriter(str(tmp_path / "Split-eval" / "sound.gz"), "GZIP") as writer:
        for example in sound:
            writer.write(example.SerializeToString())
    only_sound = Outcome(tmp_path, tmp_path, tmp_path, {})
    with pytest.raises(ValueError, match=rf"0 images of the positive class 'Positive' and {len(sound)} others"):
        _train_again(only_sound, tmp_path, fine_tune_epochs=0, views=1)
    assert not (tmp_path / "run" / "head").exists()


@pytest.fixture(scope="module")
def frozen(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A training without its second stage, and with the other class as the positive one."""
    changes = {
        "fine_tune_epochs": 0,
        "views": 1,
        "positive_classes": ["Negative"],
        "target_recall": 0.8,
        "least_precision": 0,
    }
    return _train_again(outcome, tmp_path_factory.mktemp("frozen"), **changes)


def test_a_frozen_backbone_comes_out_as_it_went_in(frozen: Outcome) -> None:
    assert frozen.history["fine_tune"] == {}
    assert not (frozen.model_run / "fine_tune").exists()
    classifier = keras.models.load_model(frozen.model_run / "classifier.keras")
    (backbone,) = (layer for layer in classifier.layers if isinstance(layer, keras.Model) and layer.name != "head")
    for weight, original in zip(
        backbone.get_weights(), build_backbone("efficientnet-lite0", SIZE, "imagenet").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, original)


def test_another_training_of_the_head_needs_no_backbone_pass(
    outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own_models(tmp_path, "own_kept")
    monkeypatch.chdir(tmp_path)
    work = tmp_path / "work"
    brief = {"backbone": "own_kept:build", "fine_tune_share": 0.5, "head_epochs": 1}
    first = _train_again(outcome, tmp_path / "first", work, **brief, fine_tune_epochs=1)
    kept = sorted((work / "views").rglob("*.npy"))
    # Activations, features and labels of train and of eval.
    assert len(kept) == 3 + 3
    images = [len(np.load(file)) for file in kept if file.name == "labels.npy"]
    assert sorted(images) == sorted(len(outcome.stored(split)) for split in ("train", "eval"))

    def no_pass(*_parts: keras.Model) -> None:
        raise AssertionError("the backbone would run")

    monkeypatch.setattr(training_views, "build_engine", no_pass)
    other = _train_again(outcome, tmp_path / "other", work, **brief, head_learning_rate=0.02, fine_tune_epochs=0)
    assert other.history["head"]["loss"] != first.history["head"]["loss"]
    assert sorted((work / "views").rglob("*.npy")) == kept
    with pytest.raises(AssertionError, match="the backbone would run"):
        _train_again(outcome, tmp_path / "seen otherwise", work, **brief, seed=4)


def test_trains_a_model_of_ones_own_with_an_augmentation_of_ones_own(
    outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own_models(tmp_path, "own_trained")
    monkeypatch.chdir(tmp_path)
    changes = {"backbone": "own_trained:around_another", "augmentation": "own_trained:flips", "fine_tune_share": 0.5}
    trained = _train_again(outcome, tmp_path, **changes)
    classifier = keras.models.load_model(trained.model_run / "classifier.keras")
    assert {"conv_0", "relu_2"} <= {layer.name for layer in classifier._flatten_layers()}
    examples = trained.stored("test")
    encoded = [example.features.feature[stored_example.ENCODED].bytes_list.value[0] for example in examples]
    logits = classifier.predict(np.stack([decode_image(image, SIZE) for image in encoded]), verbose=0)
    card = trained.card()
    scores = Calibration(card["temperature"], card["bias"]).scores(logits)
    np.testing.assert_allclose(trained.predict(examples)["scores"], scores, atol=1e-5)
    augmentation = keras.models.load_model(trained.model_run / "augmentation.keras")
    assert [type(layer) for layer in augmentation.layers] == [keras.layers.RandomFlip]


def test_refuses_options_that_it_does_not_know(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="learning_rat"):
        _train_again(outcome, tmp_path, learning_rat=0.1)
