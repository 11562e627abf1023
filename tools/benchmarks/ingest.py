"""Images per second and peak memory of ImageExampleGen, against a plain loop that reads, decodes once and writes.

Every measurement runs in a process of its own, on as many cores as its way says, imports not counted. Each figure is
the median of `--repeats` measurements, taken in turns. Noisy copies stand in for missing photographs.

    python -m tools.benchmarks.ingest --photographs FOLDER --counts 1000 10000
"""

import importlib
import io
import os
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image

from pipeline.heavy_imports import garbage_collection_paused
from tools.benchmarks.measurement import FinishedProcess, Table, run_function
from tools.benchmarks.photographs import argument_parser, find_photographs, gather

LOOP = "loop"
# Cores by way.
WAYS = {LOOP: 1, "1 core": 1, "2 cores": 2}


def main() -> None:
    """Prints one row per count and way."""
    parser = argument_parser(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000], help="images of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each way and count")
    arguments = parser.parse_args()
    files = find_photographs(arguments.photographs)
    table = Table(
        "images >8 | way <8 | images/s >9.0f | of the loop >12.2f | CPU us an image >16.0f | of the loop's >13.2f | "
        "peak MB >8.0f"
    )
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            gather(files, count, Path(folder))
            finished = [
                {way: run_function("ingest.measure", way, folder) for way in WAYS} for _ in range(arguments.repeats)
            ]
            loop_seconds, loop_cpu = (_median(LOOP, finished, number) for number in range(2))
            for way in WAYS:
                seconds, cpu = (_median(way, finished, number) for number in range(2))
                peak = statistics.median(each[way].peak_megabytes for each in finished)
                table.add(count, way, count / seconds, loop_seconds / seconds, cpu / count * 1e6, cpu / loop_cpu, peak)


def _median(way: str, finished: list[dict[str, FinishedProcess]], number: int) -> float:
    return statistics.median(each[way].result[number] for each in finished)


def measure(way: str, folder: str) -> tuple[float, float]:
    """Returns the seconds of a way and its CPU seconds, without imports."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: WAYS[way]])
    # As a run does it: a collection of all the objects that imports leave would take half a second.
    with garbage_collection_paused():
        from crackgate.config.beam import BeamOptions
        from tools.benchmarks.data_pipeline import run_data_pipeline

    # TFX and Pillow import these with their first artifact and their first image.
    importlib.import_module("setuptools")
    Image.preinit()
    data = Path(folder)
    with tempfile.TemporaryDirectory() as output:
        began, cpu = time.perf_counter(), time.process_time()
        if way == LOOP:
            plain_loop(data, Path(output))
        else:
            run_data_pipeline("ingest", data, Path(output), BeamOptions())
        return time.perf_counter() - began, time.process_time() - cpu


def plain_loop(data: Path, output: Path) -> None:
    """Runs a plain script without checks, measures, groups or splits."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(output / "images.tfrecord.gz"), "GZIP") as writer:
        for label, folder in enumerate(sorted(data.iterdir())):
            for file in sorted(folder.iterdir()):
                encoded = file.read_bytes()
                Image.open(io.BytesIO(encoded)).load()
                feature = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


if __name__ == "__main__":
    main()
