"""From an image folder to an exported, evaluated model: crackgate against the plain Keras recipe, in one run.

The recipe uses `image_dataset_from_directory`, flips and rotations, a frozen ImageNet backbone, a dense layer and ten
epochs. Its `evaluate` runs on the images that selected the model. Both sides use EfficientNet-Lite0 with the same
weights, image size, photographs and cores, each in its own process, start-up included.

crackgate's side is `crackgate run`. The recipe gets crackgate's train and eval splits, and holds out a random fifth.
Both models are scored on crackgate's test split; neither saw a copy of its images.

    python -m tools.benchmarks.training --photographs FOLDER --count 2000
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from crackgate.config.train import CHOOSING_IMAGES
from crackgate.contracts.training_files import CPU_SECONDS_FILE
from tools.benchmarks.measurement import CRACKGATE, Table, run_function, run_python
from tools.benchmarks.photographs import argument_parser, find_photographs, gather

BACKBONE = "efficientnet-lite0"
IMAGE_SIZE = 160
BATCH_SIZE = 32
RECIPE_EPOCHS = 10
HELD_BACK = 0.2
# crackgate's exit codes for a released and for a refused model: both are trained and evaluated.
TRAINED = (0, 3)


def main() -> None:
    """Trains both, scores both, prints the comparison."""
    arguments = parse_arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    files = find_photographs(arguments.photographs, arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        gather(files, arguments.count, data)
        compare(data, Path(folder), arguments.recipe_epochs, arguments.set)


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argument_parser(__doc__)
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
    return parser.parse_args()


def compare(data: Path, folder: Path, recipe_epochs: int, assignments: list[str]) -> None:
    """Runs every step in a process of its own and prints the results."""
    workspace, images, recipe_model = folder / "workspace", folder / "images", folder / "recipe"
    options = [part for assignment in assignments for part in ("--set", assignment)]
    ours = run_python(*CRACKGATE, "run", "--data", data, "--workspace", workspace, *options, allowed=TRAINED)
    counts = run_function("training.sort_images", workspace, data, images).result
    recipe = run_function("training.train_recipe", images / "train_and_eval", recipe_model, recipe_epochs)
    floor = run_function("training.predict_alone", images / "train_and_eval").result["images_per_second"]
    scores = run_function("training.score", workspace, recipe_model, images / "test").result

    missing = RECIPE_EPOCHS - recipe_epochs
    recipe = recipe._replace(
        seconds=recipe.seconds + missing * recipe.result["epoch_seconds"],
        cpu_seconds=recipe.cpu_seconds + missing * recipe.result["epoch_cpu_seconds"],
    )
    learnt_from = counts["train"] + counts["eval"]
    recipe_passes = RECIPE_EPOCHS + HELD_BACK  # once more over what was held back, to evaluate
    (summary_file,) = (workspace / "runs").glob("*/summary.json")
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    training = summary["config"]["train"]
    our_passes = summary["training_images"]["views"] + counts["eval"]
    our_passes += min(counts["eval"], CHOOSING_IMAGES) if training["views"] > 1 else 0
    print(f"{sum(counts.values())} photographs: {counts}")
    print(f"bare backbone.predict: {floor:.0f} images/s, one pass over train and eval {learnt_from / floor:.0f} s")
    table = Table(
        "model <11 | seconds >8.1f | CPU s >7.0f | passes/image >13.1f | images/s >9.1f | of predict >11.2f "
        "| peak MB >8.0f | accuracy >9.4f | AUC >8.4f"
    )
    for name, process, passes in (("recipe", recipe, recipe_passes), ("crackgate", ours, our_passes / learnt_from)):
        rate = learnt_from / process.seconds
        costs = (process.seconds, process.cpu_seconds, passes, rate, rate / floor, process.peak_megabytes)
        table.add(name, *costs, *scores[name])
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
    (parts_file,) = workspace.glob(f"pipeline/Trainer/model_run/*/{CPU_SECONDS_FILE}")
    parts = json.loads(parts_file.read_text(encoding="utf-8"))
    print("the Trainer's parts:")
    table = Table("part <20 | CPU s >7.1f")
    for name, seconds in sorted(parts.items(), key=lambda part: -part[1]):
        table.add(name, seconds)


def sort_images(workspace: str, data: str, images: str) -> dict:
    """Links the photographs of train and eval, and those of test, into folders like the original."""
    import tensorflow as tf

    from crackgate.contracts import stored_example

    counts = {}
    for split in stored_example.SPLITS:
        part = "test" if split == stored_example.TEST_SPLIT else "train_and_eval"
        stored = map(str, Path(workspace).glob(f"pipeline/ImageExampleGen/examples/*/Split-{split}/*.gz"))
        counts[split] = 0
        for record in tf.data.TFRecordDataset(list(stored), compression_type="GZIP").as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            path = Path(os.fsdecode(example.features.feature[stored_example.FILENAME].bytes_list.value[0]))
            Path(images, part, path.parent).mkdir(parents=True, exist_ok=True)
            Path(images, part, path).symlink_to(Path(data, path))
            counts[split] += 1
    return counts


def train_recipe(data: str, model_folder: str, epochs: int) -> dict:
    """Runs the plain recipe, start to end."""
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


def predict_alone(data: str) -> dict:
    """Returns images per second of the bare backbone on pixels in memory: the median of three times 512 images."""
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


def score(workspace: str, recipe_model: str, data: str) -> dict:
    """Returns accuracy and AUC of both exported models on the same photographs, each decoded as its trainer did."""
    import keras
    import numpy as np
    import tensorflow as tf
    from sklearn.metrics import roc_auc_score

    images = keras.utils.image_dataset_from_directory(
        data, image_size=(IMAGE_SIZE, IMAGE_SIZE), batch_size=BATCH_SIZE, shuffle=False, verbose=False
    )
    labels = np.concatenate([batch.numpy() for _, batch in images])
    recipe = tf.saved_model.load(recipe_model)
    (exported,) = Path(workspace).glob("pipeline/Trainer/model/*/Format-Serving")
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


if __name__ == "__main__":
    main()
