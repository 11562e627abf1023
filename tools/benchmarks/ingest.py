"""Images per second and peak memory of ImageExampleGen, against a plain loop that reads, decodes once and writes.

Every measurement runs in a process of its own, imports not counted. Noisy copies stand in for missing photographs.

    python -m tools.benchmarks.ingest --photographs FOLDER --counts 1000 10000
"""

import io
import tempfile
import time
from pathlib import Path

from PIL import Image

from tools.benchmarks.measurement import Table, run_function
from tools.benchmarks.photographs import argument_parser, find_photographs, gather

LOOP, READER = "loop", "and reader"
WAYS = (LOOP, "1 process", READER)


def main() -> None:
    """Prints one row per count and way."""
    parser = argument_parser(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000], help="images of each measurement")
    arguments = parser.parse_args()
    files = find_photographs(arguments.photographs)
    table = Table("images >8 | way <12 | images/s >9.0f | of the loop >12.2f | peak MB >8.0f")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            gather(files, count, Path(folder))
            rates: dict[str, float] = {}
            for way in WAYS:
                finished = run_function("ingest.measure", way, folder)
                rates[way] = count / finished.result
                table.add(count, way, rates[way], rates[way] / rates[LOOP], finished.peak_megabytes)


def measure(way: str, folder: str) -> float:
    """Returns the seconds of a way, without imports."""
    from components.image_example_gen.reader_processes import reader_processes

    data = Path(folder)
    # A run starts its reader processes before it imports TFX, which takes as long as their own imports.
    with tempfile.TemporaryDirectory() as output, reader_processes(1 if way == READER else 0):
        from crackgate.config.beam import BeamOptions
        from tools.benchmarks.data_pipeline import run_data_pipeline

        began = time.perf_counter()
        if way == LOOP:
            plain_loop(data, Path(output))
        else:
            run_data_pipeline("ingest", data, Path(output), BeamOptions())
        return time.perf_counter() - began


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
