"""From an image folder to an exported, evaluated model: crackgate against the plain Keras recipe, in one run.

The recipe is what one would otherwise write: `image_dataset_from_directory`, flips and rotations, a frozen ImageNet
backbone, dropout, a dense layer, ten epochs, `evaluate` on the images that selected the model. Both use EfficientNet-
Lite0 with the same weights, the same image size, the same photographs and the same cores, each in a process of its
own, start-up included. crackgate's side is `crackgate run`: ingest, validation, training, evaluation, release. The
recipe gets the images of crackgate's train and eval splits, and holds a fifth of them back by chance. Both models are
then scored on crackgate's test split, of which neither saw an image or a copy of one.

    python tools/benchmarks/training.py --photographs ../shared/data/concrete --count 2000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from crackgate.config.train import CHOOSING_IMAGES
from tools.benchmarks.ingest import PHOTOGRAPHS, gather

PROJECT = Path(__file__).resolve().parents[2]
BACKBONE = "efficientnet-lite0"
IMAGE_SIZE = 160
BATCH_SIZE = 32
RECIPE_EPOCHS = 10
HELD_BACK = 0.2
# crackgate's exit codes for a released model, and for one that its gate held back: both are trained and evaluated.
TRAINED = (0, 3)


class Measured(NamedTuple):
    """A finished process and its children.

    Attributes:
        seconds: Wall-clock time.
        cpu_seconds: Of all cores: what other work on the machine falsifies least.
        peak_megabytes: Of the largest process.
        code: Exit code.
        output: Standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float
    code: int
    output: str


def main() -> None:
    """Trains both, scores both, prints the comparison."""
    arguments = parse_arguments()
    if arguments.step:
        print(json.dumps(STEPS[arguments.step](*map(Path, arguments.paths), **json.loads(arguments.options))))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    files = sorted(arguments.photographs.glob("*/*.jpg"))
    if len(files) < arguments.count:
        sys.exit(f"{arguments.photographs} holds {len(files)} photographs in sub-folders, --count asks for more")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        gather(files, arguments.count, data)
        compare(data, Path(folder), arguments.recipe_epochs, arguments.set)


def parse_arguments() -> argparse.Namespace:
    """The command line; `--step` is how this file starts itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="a folder with one sub-folder per class")
    parser.add_argument("--count", type=int, default=2000, help="photographs drawn from it")
    parser.add_argument("--cores", type=int, default=2, help="that everything runs on")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="of crackgate's configuration"
    )
    parser.add_argument(
        "--recipe-epochs",
        type=int,
        choices=range(2, RECIPE_EPOCHS + 1),
        default=RECIPE_EPOCHS,
        help=f"fewer than {RECIPE_EPOCHS} save time: the recipe's seconds are extrapolated, its accuracy is not",
    )
    parser.add_argument("--step", choices=sorted(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--options", default="{}", help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(data: Path, folder: Path, recipe_epochs: int, assignments: list[str]) -> None:
    """Runs every step in a process of its own and prints what came of them."""
    workspace, images, recipe_model = folder / "workspace", folder / "images", folder / "recipe"
    options = [part for assignment in assignments for part in ("--set", assignment)]
    crackgate = "from crackgate_cli.main import main; main()"
    ours = run("-c", crackgate, "run", "--data", str(data), "--workspace", str(workspace), *options, allowed=TRAINED)
    counts = step("sort_images", workspace, data, images)
    recipe, trained = timed_step("train_recipe", images / "train_and_eval", recipe_model, epochs=recipe_epochs)
    floor = step("predict_alone", images / "train_and_eval")["images_per_second"]
    scores = step("score", workspace, recipe_model, images / "test")

    missing = RECIPE_EPOCHS - recipe_epochs
    recipe = recipe._replace(
        seconds=recipe.seconds + missing * trained["epoch_seconds"],
        cpu_seconds=recipe.cpu_seconds + missing * trained["epoch_cpu_seconds"],
    )
    learnt_from = counts["train"] + counts["eval"]
    recipe_passes = RECIPE_EPOCHS + HELD_BACK  # once more over what was held back, to evaluate
    (summary_file,) = (workspace / "runs").glob("*/summary.json")
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    training = summary["config"]["train"]
    our_passes = min(counts["train"] * training["views"], training["most_views"]) + counts["eval"]
    our_passes += min(counts["eval"], CHOOSING_IMAGES) if training["views"] > 1 else 0
    print(f"{sum(counts.values())} photographs: {counts}")
    print(f"bare backbone.predict: {floor:.0f} images/s, one pass over train and eval {learnt_from / floor:.0f} s")
    print(
        f"{'':<12}{'seconds':>9}{'CPU s':>8}{'passes/image':>14}{'images/s':>10}{'of predict':>12}{'peak MB':>9}"
        f"{'accuracy':>10}{'AUC':>9}"
    )
    for name, measured, passes in (("recipe", recipe, recipe_passes), ("crackgate", ours, our_passes / learnt_from)):
        rate = learnt_from / measured.seconds
        accuracy, auc = scores[name]
        print(
            f"{name:<12}{measured.seconds:>9.1f}{measured.cpu_seconds:>8.0f}{passes:>14.1f}{rate:>10.1f}"
            f"{rate / floor:>12.2f}{measured.peak_megabytes:>9.0f}{accuracy:>10.4f}{auc:>9.4f}"
        )
    print(
        f"crackgate takes {recipe.seconds / ours.seconds:.1f} times less wall-clock time, "
        f"{recipe.cpu_seconds / ours.cpu_seconds:.1f} times less CPU time"
    )
    if recipe_epochs != RECIPE_EPOCHS:
        print(
            f"the recipe ran {recipe_epochs} epochs: its seconds are EXTRAPOLATED to {RECIPE_EPOCHS}, nothing else is"
        )
    components = ((component["name"], component["seconds"]) for component in summary["components"])
    slow = [f"{name} {seconds:.0f}" for name, seconds in components if seconds >= 1]
    print(f"crackgate's seconds: {', '.join(slow)}, the rest start-up")


def step(name: str, *paths: Path, **options: int) -> dict:
    """What a step of this file returns."""
    return timed_step(name, *paths, **options)[1]


def timed_step(name: str, *paths: Path, **options: int) -> tuple[Measured, dict]:
    """The same, with its cost."""
    measured = run(__file__, "--step", name, "--options", json.dumps(options), *map(str, paths))
    return measured, json.loads(measured.output.splitlines()[-1])


def run(*arguments: str, allowed: tuple[int, ...] = (0,)) -> Measured:
    """Runs Python to its end; the peak is that of the largest process of its family."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = code = os.waitstatus_to_exitcode(status)
        for stream in (output, errors):
            stream.seek(0)
        if code not in allowed:
            sys.exit(f"{arguments} ended with {code}:\n{output.read()[-2000:]}\n{errors.read()[-2000:]}")
        return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, code, output.read())


def sort_images(workspace: Path, data: Path, images: Path) -> dict:
    """Links the photographs of train and eval, and those of test, into folders like the one they came from."""
    import tensorflow as tf

    from crackgate.contracts import stored_example

    counts = {}
    for split in stored_example.SPLITS:
        part = "test" if split == stored_example.TEST_SPLIT else "train_and_eval"
        stored = map(str, workspace.glob(f"pipeline/ImageExampleGen/examples/*/Split-{split}/*.gz"))
        counts[split] = 0
        for record in tf.data.TFRecordDataset(list(stored), compression_type="GZIP").as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            path = Path(os.fsdecode(example.features.feature[stored_example.FILENAME].bytes_list.value[0]))
            (images / part / path.parent).mkdir(parents=True, exist_ok=True)
            (images / part / path).symlink_to(data / path)
            counts[split] += 1
    return counts


def train_recipe(data: Path, model_folder: Path, epochs: int) -> dict:
    """The plain recipe, start to end."""
    import keras

    from trainer.network.efficientnet_lite import efficientnet_lite, pretrained_weights_file

    train, validation = keras.utils.image_dataset_from_directory(
        data,
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
        batch_size=BATCH_SIZE,
        validation_split=HELD_BACK,
        subset="both",
        seed=0,
        verbose=False,
    )
    backbone = efficientnet_lite(BACKBONE, IMAGE_SIZE, pretrained_weights_file(BACKBONE))
    backbone.trainable = False
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    x = keras.layers.RandomFlip("horizontal")(images)
    x = keras.layers.RandomRotation(0.2)(x)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x, training=False))
    x = keras.layers.Dropout(0.3)(x)
    model = keras.Model(images, keras.layers.Dense(len(train.class_names), activation="softmax")(x))
    model.compile(keras.optimizers.Adam(1e-4), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    clocks: list[tuple[float, float]] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: clocks.append((time.perf_counter(), time.process_time()))
    )
    model.fit(train.prefetch(2), validation_data=validation.prefetch(2), epochs=epochs, verbose=0, callbacks=[clock])
    accuracy = model.evaluate(validation, verbose=0, return_dict=True)["accuracy"]
    model.export(model_folder, verbose=False)
    # The first epoch waits for the graphs to be traced.
    (first, first_cpu), (last, last_cpu) = clocks[0], clocks[-1]
    return {
        "epoch_seconds": (last - first) / (epochs - 1),
        "epoch_cpu_seconds": (last_cpu - first_cpu) / (epochs - 1),
        "accuracy": accuracy,
    }


def predict_alone(data: Path) -> dict:
    """Images per second of the bare backbone on pixels in memory: the median of three times 512 images."""
    import keras
    import numpy as np

    from trainer.network.efficientnet_lite import efficientnet_lite, pretrained_weights_file

    images = keras.utils.image_dataset_from_directory(
        data, image_size=(IMAGE_SIZE, IMAGE_SIZE), batch_size=BATCH_SIZE, labels=None, verbose=False
    )
    pixels = np.concatenate([batch.numpy() for batch in images.take(512 // BATCH_SIZE)])
    backbone = efficientnet_lite(BACKBONE, IMAGE_SIZE, pretrained_weights_file(BACKBONE))
    backbone.predict(pixels, batch_size=BATCH_SIZE, verbose=0)
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        backbone.predict(pixels, batch_size=BATCH_SIZE, verbose=0)
        rates.append(len(pixels) / (time.perf_counter() - began))
    return {"images_per_second": sorted(rates)[1]}


def score(workspace: Path, recipe_model: Path, data: Path) -> dict:
    """Accuracy and AUC of both exported models on the same photographs, each decoded as its trainer did."""
    import keras
    import numpy as np
    import tensorflow as tf
    from sklearn.metrics import roc_auc_score

    images = keras.utils.image_dataset_from_directory(
        data, image_size=(IMAGE_SIZE, IMAGE_SIZE), batch_size=BATCH_SIZE, shuffle=False, verbose=False
    )
    labels = np.concatenate([batch.numpy() for _, batch in images])
    recipe = tf.saved_model.load(str(recipe_model))
    (exported,) = workspace.glob("pipeline/Trainer/model/*/Format-Serving")
    ours = tf.saved_model.load(str(exported)).signatures["predict_images"]
    scores = {
        "recipe": np.concatenate([recipe.serve(batch).numpy() for batch, _ in images]),
        "crackgate": np.concatenate(
            [ours(image_bytes=tf.constant([Path(path).read_bytes()]))["scores"].numpy() for path in images.file_paths]
        ),
    }
    return {
        name: (float((given.argmax(axis=1) == labels).mean()), float(roc_auc_score(labels, given[:, 1])))
        for name, given in scores.items()
    }


STEPS: dict[str, Callable[..., Any]] = {
    "sort_images": sort_images,
    "train_recipe": train_recipe,
    "predict_alone": predict_alone,
    "score": score,
}

if __name__ == "__main__":
    main()
