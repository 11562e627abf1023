"""Images per second and latency of the ways to ask a released model, against plain Keras, in one run.

Plain Keras is what one would otherwise write: `tf.io.decode_image`, `tf.image.resize` and `model.predict`, with the
Keras file that the training of the release left. The others are the release's own `predict_images` signature in
TensorFlow, as TensorFlow Serving calls it; `ReleasedModel`, behind `crackgate predict`; and `crackgate serve`, in a
process of its own on the same cores, by one client with one connection or by several at once. All decode the same
photographs, all are warm, and they take turns, so that other work on the machine strikes all of them.

    python tools/benchmarks/serving.py --workspace workspace --photographs ../shared/data/concrete
"""

import argparse
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

from tools.benchmarks.ingest import PHOTOGRAPHS

PROJECT = Path(__file__).resolve().parents[2]
BATCHES = (1, 32)
CLIENTS = 8
_PATH = "/v1/models/crackgate:predict"

Way = Callable[[list[bytes]], object]


def main() -> None:
    """Prints one row for each way and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=PROJECT / "workspace", help="with a release and its training")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="a folder with one sub-folder per class")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15, help="how often the ways take turns")
    arguments = parser.parse_args()
    photographs = [file.read_bytes() for file in sorted(arguments.photographs.glob("*/*.jpg"))[::37][:128]]
    version = max((arguments.workspace / "serving").glob("*/saved_model.pb"), default=None)
    keras_file = max(arguments.workspace.glob("pipeline/Trainer/model_run/*/classifier.keras"), default=None)
    if len(photographs) < max(BATCHES) or version is None or keras_file is None:
        parser.error(
            f"found {len(photographs)} photographs in {arguments.photographs}, release {version}, Keras file "
            f"{keras_file}: give --photographs with {max(BATCHES)} JPEG files or more, and a --workspace"
        )
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with serving(version.parent) as port:
        ways = build_ways(version.parent, keras_file, port)
        print(f"{'batch':>5} {'way':<24}{'images/s':>9}{'of Keras':>10}{'p50 ms':>8}{'p99 ms':>8}")
        for batch in BATCHES:
            measure(ways, photographs, batch, arguments.rounds)
        measure_clients(port, photographs, arguments.rounds)


def build_ways(version: Path, keras_file: Path, port: int) -> dict[str, Way]:
    """Each answers a list of encoded images; the first one is what the others are held against."""
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


def measure(ways: dict[str, Way], photographs: list[bytes], batch: int, rounds: int) -> None:
    """Lets the ways take turns; each turn takes as many photographs."""
    turns = [photographs[first : first + batch] for first in range(0, max(8, batch * 2), batch)]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, answer in ways.items():
            for images in turns:
                started = time.perf_counter()
                answer(images)
                # The first round warms up.
                if number:
                    seconds[way].append(time.perf_counter() - started)
    first = next(iter(ways))
    for way in ways:
        report(batch, way, batch, seconds[way], batch / statistics.median(seconds[first]))


def measure_clients(port: int, photographs: list[bytes], rounds: int) -> None:
    """Several clients at once, one image a request: the service scores them together."""
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
    p50, p99 = quantiles(latencies)
    way = f"crackgate serve, {CLIENTS} at once"
    print(f"{1:>5} {way:<24}{statistics.median(rates):>9.1f}{'':>10}{p50:>8.1f}{p99:>8.1f}")


def report(batch: int, way: str, images: int, seconds: list[float], reference: float) -> None:
    """Prints a row; `reference` in images per second."""
    rate = images / statistics.median(seconds)
    p50, p99 = quantiles(seconds)
    print(f"{batch:>5} {way:<24}{rate:>9.1f}{rate / reference:>10.2f}{p50:>8.1f}{p99:>8.1f}", flush=True)


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * statistics.median(ordered), 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


def ask(connection: http.client.HTTPConnection, images: list[bytes]) -> object:
    """Sends one request, as a client of TensorFlow Serving does."""
    values = [{"b64": base64.b64encode(image).decode()} for image in images]
    connection.request("POST", _PATH, json.dumps({"signature_name": "predict_images", "instances": values}))
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        sys.exit(f"the service answered {response.status}: {answer}")
    return answer


@contextmanager
def serving(version: Path) -> Iterator[int]:
    """Runs `crackgate serve` on this process's cores; gives its port, once the model is there."""
    command = [sys.executable, "-c", "from crackgate_cli.main import main; main()", "serve", "--model", str(version)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    process = subprocess.Popen(
        [*command, "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        for line in process.stderr:
            if " answers, " in line:
                break
        # What it logs from now on is of no interest, and must not fill the pipe.
        threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
