"""Images per second and latency of the ways to ask a released model, against plain Keras, in one run.

- plain Keras: `tf.io.decode_image`, `tf.image.resize` and `model.predict`, with the Keras file of the same training.
- SavedModel signature: the release's `predict_images` in TensorFlow, as TensorFlow Serving calls it.
- ReleasedModel: the class behind `crackgate predict`.
- crackgate serve: a process on the same cores, asked through one connection, then by several clients.

All decode the same photographs after a warm-up. They take turns, so that other work on the machine slows all of them.

    python -m tools.benchmarks.serving --workspace workspace --photographs FOLDER
"""

import base64
import concurrent.futures
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.benchmarks.measurement import CRACKGATE, PROJECT, Table, python_environment
from tools.benchmarks.photographs import argument_parser, find_photographs

BATCHES = (1, 32)
CLIENTS = 8
# One photograph in so many is taken, so that all classes appear.
_APART = 37
_PATH = "/v1/models/crackgate:predict"

Way = Callable[[list[bytes]], object]


def main() -> None:
    """Prints one row for each way and batch size."""
    parser = argument_parser(__doc__)
    parser.add_argument("--workspace", type=Path, default=PROJECT / "workspace", help="with a release and its training")
    parser.add_argument("--cores", type=int, default=2, help="that everything runs on")
    parser.add_argument("--rounds", type=int, default=15, help="how often the ways take turns")
    arguments = parser.parse_args()
    files = find_photographs(arguments.photographs, max(BATCHES) * _APART)
    photographs = [file.read_bytes() for file in files[::_APART][:128]]
    version = max((arguments.workspace / "serving").glob("*/saved_model.pb"), default=None)
    keras_file = max(arguments.workspace.glob("pipeline/Trainer/model_run/*/classifier.keras"), default=None)
    if version is None or keras_file is None:
        parser.error(
            f"--workspace: found release {version} and Keras file {keras_file} in {arguments.workspace}, both are "
            "needed: give the workspace of a run that released its model"
        )
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with serving(version.parent) as port:
        ways = build_ways(version.parent, keras_file, port)
        table = Table("batch >5 | way <24 | images/s >8.1f | of Keras >9.2f | p50 ms >7.1f | p99 ms >7.1f")
        for batch in BATCHES:
            measure(ways, photographs, batch, arguments.rounds, table)
        measure_clients(port, photographs, arguments.rounds, table)


def build_ways(version: Path, keras_file: Path, port: int) -> dict[str, Way]:
    """Returns the ways by name. Each classifies a list of encoded images; the first one is the reference."""
    import keras
    import tensorflow as tf

    from crackgate.model.released_model import load_released_model

    model = keras.models.load_model(keras_file, compile=False)
    size = model.input_shape[1:3]
    released = load_released_model(version)
    signature = released.loaded.signatures["predict_images"]
    print(f"version {version.name}; ReleasedModel runs in {released.engine}")

    def plain_keras(images: list[bytes]) -> object:
        decoded = [tf.io.decode_image(image, channels=3, expand_animations=False) for image in images]
        return model.predict(tf.stack([tf.image.resize(image, size, antialias=True) for image in decoded]), verbose=0)

    connection = http.client.HTTPConnection("127.0.0.1", port)
    return {
        "plain Keras": plain_keras,
        "SavedModel signature": lambda images: signature(image_bytes=tf.constant(images))["scores"].numpy(),
        "ReleasedModel": released.answer,
        "crackgate serve": lambda images: ask(connection, images),
    }


def measure(ways: dict[str, Way], photographs: list[bytes], batch: int, rounds: int, table: Table) -> None:
    """Lets the ways take turns, each with the same photographs."""
    turns = [photographs[first : first + batch] for first in range(0, max(8, batch * 2), batch)]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, ask_way in ways.items():
            for images in turns:
                started = time.perf_counter()
                ask_way(images)
                # The first round warms up.
                if number:
                    seconds[way].append(time.perf_counter() - started)
    medians = {way: statistics.median(each) for way, each in seconds.items()}
    reference = next(iter(medians.values()))
    for way, median in medians.items():
        table.add(batch, way, batch / median, reference / median, *quantiles(seconds[way]))


def measure_clients(port: int, photographs: list[bytes], rounds: int, table: Table) -> None:
    """Measures several clients at once, one image a request: the service scores them together."""
    local = threading.local()

    def one(image: bytes) -> float:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port)
        started = time.perf_counter()
        ask(local.connection, [image])
        return time.perf_counter() - started

    latencies, rates = [], []
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
        for number in range(rounds + 1):
            started = time.perf_counter()
            found = list(threads.map(one, photographs))
            if number:
                latencies += found
                rates.append(len(photographs) / (time.perf_counter() - started))
    table.add(1, f"crackgate serve, {CLIENTS} at once", statistics.median(rates), "", *quantiles(latencies))


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """Returns the median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * statistics.median(ordered), 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


def ask(connection: http.client.HTTPConnection, images: list[bytes]) -> object:
    """Sends one request, as a client of TensorFlow Serving does."""
    values = [{"b64": base64.b64encode(image).decode()} for image in images]
    connection.request("POST", _PATH, json.dumps({"signature_name": "predict_images", "instances": values}))
    response = connection.getresponse()
    content = json.loads(response.read())
    if response.status != 200:
        sys.exit(f"the service answered {response.status}: {content}")
    return content


@contextmanager
def serving(version: Path) -> Iterator[int]:
    """Runs `crackgate serve` on this process's cores, and gives its port once the model is loaded."""
    command = [sys.executable, *CRACKGATE, "serve", "--model", str(version), "--port", "0"]
    process = subprocess.Popen(
        command, env=python_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        for line in process.stderr:
            if " answers, " in line:
                break
        # Later logs must not fill the pipe.
        threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
