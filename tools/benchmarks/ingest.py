"""Images per second and peak memory of ImageExampleGen, against a plain loop that reads, decodes once and writes.

Every measurement runs in a process of its own, imports not counted. Where more images are asked for than there are,
noisy copies of the photographs stand in.

    python tools/benchmarks/ingest.py --photographs ../shared/data/concrete --counts 1000 10000
"""

import argparse
import importlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = Path(os.environ.get("CRACKGATE_PHOTOGRAPHS", PROJECT.parent / "shared" / "data" / "concrete"))


def main() -> None:
    """Prints one row per count and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="a folder with one sub-folder per class")
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000], help="images of each measurement")
    parser.add_argument("--measure", choices=sorted(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(WAYS[arguments.measure], arguments.photographs)))
        return
    files = sorted(arguments.photographs.glob("*/*.jpg"))
    if not files:
        parser.error(f"no photographs in {arguments.photographs}: give a folder with one sub-folder per class")
    print(f"{'images':>8} {'way':<12}{'images/s':>10}{'of the loop':>13}{'peak MB':>9}")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            gather(files, count, Path(folder))
            print_rows(count, Path(folder))


def print_rows(count: int, folder: Path) -> None:
    """Measures every way on the same images."""
    rates = {}
    for way in WAYS:
        command = [sys.executable, __file__, "--measure", way, "--photographs", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if finished.returncode:
            sys.exit(f"{way} failed:\n{finished.stderr[-2000:]}")
        seconds, peak = json.loads(finished.stdout.splitlines()[-1])
        rates[way] = count / seconds
        print(f"{count:>8} {way:<12}{rates[way]:>10.0f}{rates[way] / rates['loop']:>13.2f}{peak:>9.0f}", flush=True)


def gather(files: list[Path], count: int, folder: Path) -> None:
    """Puts `count` images into `folder`, half of each class where the photographs are."""
    import numpy as np
    from PIL import Image

    order = np.random.default_rng(0).permutation(len(files))
    for number in range(count):
        file = files[order[number % len(files)]]
        target = folder / file.parent.name / f"{number}{file.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if number < len(files):
            shutil.copy(file, target)
            continue
        with Image.open(file) as photograph:
            pixels = np.asarray(photograph.convert("RGB"), np.int16)
        noise = np.random.default_rng(number).integers(-4, 5, pixels.shape, np.int16)
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(target, quality=90)


def measure(way: Callable[[Path, Path], None], data: Path) -> tuple[float, float]:
    """Seconds, and the peak memory in MB of the largest process."""
    from components.image_example_gen.reader_processes import reader_processes

    # A run starts its reader processes before it imports TFX, which takes as long as their own imports.
    with tempfile.TemporaryDirectory() as output, reader_processes(1 if way is ingest_with_reader else 0):
        # Imported here, TFX and all, so that only the work is measured.
        importlib.import_module("pipeline.definition")
        started = time.perf_counter()
        way(data, Path(output))
        seconds = time.perf_counter() - started
    usages = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return seconds, max(usages) / 1024


def plain_loop(data: Path, output: Path) -> None:
    """What a script would do: no checks, no measures, no groups, no splits."""
    import tensorflow as tf
    from PIL import Image

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


def ingest(data: Path, output: Path, workers: int) -> None:
    """The component, launched by TFX."""
    from tfx import v1 as tfx

    from components.image_example_gen.component import ImageExampleGen
    from crackgate.config.beam import BeamOptions
    from crackgate.config.data import DataOptions
    from crackgate.images.image_folder import find_classes
    from pipeline.beam_profiles import beam_pipeline_args

    example_gen = ImageExampleGen(data, find_classes(data), DataOptions(max_rejected_share=0.0, max_imbalance=1.0))
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="benchmark",
            pipeline_root=str(output / "pipeline"),
            components=[example_gen],
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(output / "metadata.sqlite")
            ),
            beam_pipeline_args=beam_pipeline_args(BeamOptions(workers=workers)),
        )
    )


def ingest_alone(data: Path, output: Path) -> None:
    """With one worker."""
    ingest(data, output, workers=1)


def ingest_with_reader(data: Path, output: Path) -> None:
    """With one worker and a reader process, as a run does it on two cores."""
    ingest(data, output, workers=1)


def ingest_in_parallel(data: Path, output: Path) -> None:
    """With two."""
    ingest(data, output, workers=2)


WAYS = {"loop": plain_loop, "1 worker": ingest_alone, "and reader": ingest_with_reader, "2 workers": ingest_in_parallel}

if __name__ == "__main__":
    main()
