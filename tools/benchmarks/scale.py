"""Time and memory of the Beam steps by number of images and of workers: the table, plot and outlook in docs/scale.md.

The steps are ingest, StatisticsGen, and TFMA's evaluation of all images by a small network. Noisy copies stand in for
missing photographs. Each measurement is a process of its own. Its seconds are the component's: they include the start
of workers, but not Python's imports. On Flink a worker is a task manager with one slot and its pool.

With --simulated, generated images of 32x32 pixels go through ingest and statistics. They are as many elements as
photographs would be, on a tenth of the disk: some 12 kB an image.

docs/scale.csv keeps the measurements, so that a long run can be done in parts. A new measurement replaces an old one.

    python -m tools.benchmarks.scale --photographs FOLDER --counts 1000 5000 --workers 1 2
    python -m tools.benchmarks.scale --simulated --counts 100000 1000000 --profiles local
"""

import csv
import itertools
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
from PIL import Image
from pydantic import BaseModel

from crackgate.config.beam import BeamOptions
from pipeline.peak_memory import PeakMemory
from tools.benchmarks.measurement import PROJECT, run_function
from tools.benchmarks.photographs import argument_parser, find_photographs, gather
from tools.flink_cluster.cluster import FlinkCluster
from tools.flink_cluster.software import MissingSoftwareError, fetch_software

MEASUREMENTS = PROJECT / "docs" / "scale.csv"
PLOT = PROJECT / "docs" / "scale.svg"
PAGE = PROJECT / "docs" / "scale.md"
BEGIN, END = "<!-- written by make benchmark-scale -->", "<!-- end of what it writes -->"

STEPS = ("ingest", "statistics", "evaluation")
PROFILES = ("local", "flink")
Kind = Literal["photographs", "simulated"]
PHOTOGRAPHS: Kind = "photographs"
SIMULATED: Kind = "simulated"
# Bytes on the disk of a generated image: its file, its staged and its stored example.
_SIMULATED_BYTES = 12_000
_SIMULATED_SIDE = 32
_FILES_IN_FOLDER = 10_000


class ScaleRow(BaseModel):
    """A row of docs/scale.csv: seconds, and peak memory of all processes together, those of Flink included, in MB."""

    kind: Kind
    step: str
    profile: str
    workers: int
    images: int
    seconds: float
    megabytes: float


def main() -> None:
    """Measures, prints a row for each measurement, and writes the page anew."""
    parser = argument_parser(__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 5000, 10_000, 40_000], help="numbers of images")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of Flink's task managers")
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES), help="where Beam runs")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="ingest comes before the others")
    parser.add_argument("--simulated", action="store_true", help="generated images, and no evaluation")
    arguments = parser.parse_args()
    kind = SIMULATED if arguments.simulated else PHOTOGRAPHS
    steps = [step for step in arguments.steps if step != "evaluation" or kind == PHOTOGRAPHS]
    files = find_photographs(arguments.photographs) if arguments.counts and kind == PHOTOGRAPHS else []
    profiles = [profile for profile in arguments.profiles if is_there(profile)]
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            if kind == SIMULATED:
                simulate(count, Path(folder, "data"))
            else:
                gather(files, count, Path(folder, "data"))
            for profile in profiles:
                for workers in arguments.workers if profile == "flink" else [1]:
                    with started(profile, workers, Path(folder)) as options:
                        for step in steps:
                            keep(run(kind, step, profile, workers, options, count, Path(folder)))
    rows = load()
    write_page(rows)
    print("", *table(rows), "", *growth(rows), sep="\n")


def simulate(count: int, folder: Path) -> None:
    """Writes so many small images of random patches, each another picture; raises SystemExit without room for them."""
    needed, free = count * _SIMULATED_BYTES, shutil.disk_usage(folder.parent).free
    if needed > free:
        sys.exit(
            f"error: --counts: {count:,} simulated images take {needed / 1e9:,.0f} GB, and {free / 1e9:,.0f} GB are "
            f"free in {folder.parent}: choose another TMPDIR, or fewer"
        )
    draw_patches = np.random.default_rng(0)
    for number in range(count):
        file = folder / ("Negative", "Positive")[number % 2] / str(number // _FILES_IN_FOLDER) / f"{number}.png"
        if number % _FILES_IN_FOLDER < 2:
            file.parent.mkdir(parents=True, exist_ok=True)
        patches = draw_patches.integers(0, 256, (8, 8), np.uint8)
        pixels = np.kron(patches, np.ones((_SIMULATED_SIDE // 8,) * 2, np.uint8))
        Image.fromarray(pixels).save(file)


def is_there(profile: str) -> bool:
    """Tells whether the profile can be measured here, and prints the missing parts."""
    if profile == "flink":
        try:
            fetch_software()
        except MissingSoftwareError as missing:
            print(f"not measured: {profile}: {missing}", file=sys.stderr)
            return False
    return True


@contextmanager
def started(profile: str, workers: int, folder: Path) -> Iterator[BeamOptions]:
    """Gives the configuration of one process here, or of a cluster with so many task managers."""
    if profile == "flink":
        cluster = FlinkCluster.start(folder / f"cluster-{workers}", fetch_software(), task_managers=workers, slots=1)
        try:
            yield BeamOptions(
                profile="flink",
                parallelism=workers,
                job_endpoint=cluster.job_endpoint,
                worker_pool=cluster.worker_pool,
            )
        finally:
            cluster.stop()
    else:
        yield BeamOptions(profile="local")


def run(kind: Kind, step: str, profile: str, workers: int, options: BeamOptions, count: int, folder: Path) -> ScaleRow:
    """Measures in a new process, which finds the results of earlier steps in `folder`."""
    # The parts of the cluster are children of this process, which itself does not count.
    own, watch = psutil.Process().memory_info().rss, PeakMemory()
    measured = run_function("scale.measure", step, folder, options.model_dump())
    row = ScaleRow(
        kind=kind,
        step=step,
        profile=profile,
        workers=workers,
        images=count,
        seconds=round(measured.result, 2),
        megabytes=round((watch.stop() - own) / 1e6),
    )
    print(*row.model_dump().values(), sep="\t", flush=True)
    return row


def measure(step: str, folder: str, options: dict[str, Any]) -> float:
    """Returns the seconds of a step."""
    beam = BeamOptions(**options)
    output = Path(folder, f"{beam.profile}-{beam.parallelism}")
    output.mkdir(exist_ok=True)
    if step == "evaluation":
        return evaluate(output, beam)
    # A late import: the other steps need no memory for TFX.
    from tools.benchmarks.data_pipeline import run_data_pipeline

    return run_data_pipeline(step, Path(folder, "data"), output, beam)


def evaluate(output: Path, options: BeamOptions) -> float:
    """Evaluates all splits as the Evaluator does one."""
    from tools.benchmarks import evaluation

    model = output / "model"
    evaluation.save_model(model)
    examples = output / "pipeline" / "ImageExampleGen" / "examples" / "1" / "Split-*" / "*"
    return evaluation.evaluate(model, examples, output / "evaluation", options)


def load() -> list[ScaleRow]:
    """Returns the measurements so far."""
    if not MEASUREMENTS.exists():
        return []
    with MEASUREMENTS.open(newline="") as file:
        return [ScaleRow.model_validate(row) for row in csv.DictReader(file)]


def keep(measured: ScaleRow) -> None:
    """Adds a measurement, or replaces an old one of the same kind."""
    rows = {_key(row): row for row in [*load(), measured]}
    with MEASUREMENTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ScaleRow.model_fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key].model_dump() for key in sorted(rows))


def _key(row: ScaleRow) -> tuple[str, int, str, int, int]:
    return row.kind, STEPS.index(row.step), row.profile, row.workers, row.images


def write_page(rows: list[ScaleRow]) -> None:
    """Writes the tables into the page, and the plot beside it."""
    if not rows:
        sys.exit(f"nothing is measured yet: give --counts; {MEASUREMENTS} keeps the measurements")
    draw(rows)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n".join([BEGIN, "", *table(rows), "", *growth(rows), "", *outlook(rows), "", END])
    PAGE.write_text(before + tables + after, encoding="utf-8")


def table(rows: list[ScaleRow]) -> list[str]:
    """Returns one line for each step, profile and number of images."""
    lines = ["| images | step | Beam | number | workers | seconds | images/s | peak MB | speed-up |"]
    lines.append("|---|---|---|---:|---:|---:|---:|---:|---:|")
    by_key = {_key(row): row for row in rows}
    for row in sorted(rows, key=lambda row: (row.kind, STEPS.index(row.step), row.profile, row.images, row.workers)):
        alone = by_key.get((*_key(row)[:3], 1, row.images))
        speed_up = f"{alone.seconds / row.seconds:.2f}" if alone and row.workers > 1 else ""
        rate = row.images / row.seconds
        lines.append(
            f"| {row.kind} | {row.step} | {row.profile} | {row.images:,} | {row.workers} | {row.seconds:.1f} "
            f"| {rate:,.0f} | {row.megabytes:,.0f} | {speed_up} |"
        )
    return lines


def growth(rows: list[ScaleRow]) -> list[str]:
    """Returns the growth of time and memory: exponent, and both for no image and for each."""
    lines = ["| images | step | Beam | workers | exponent of time | fixed s | ms an image | fixed MB | kB an image |"]
    lines.append("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for series in _series(rows):
        if len(series) < 2:
            continue
        images, seconds = (np.array([getattr(row, name) for row in series]) for name in ("images", "seconds"))
        exponent = np.polyfit(np.log(images), np.log(seconds), 1)[0]
        fixed, each = cost(series)
        memory_each, memory = np.polyfit(images, [row.megabytes for row in series], 1)
        first = series[0]
        lines.append(
            f"| {first.kind} | {first.step} | {first.profile} | {first.workers} | {exponent:.2f} | {fixed:.1f} "
            f"| {each * 1e3:.2f} | {memory:,.0f} | {memory_each * 1e3:.1f} |"
        )
    return lines


def cost(series: list[ScaleRow]) -> tuple[float, float]:
    """Returns fixed seconds and seconds per image: least squares of the relative error, neither below 0."""
    from scipy.optimize import nnls

    images, seconds = (np.array([getattr(row, name) for row in series], float) for name in ("images", "seconds"))
    fixed, each = nnls(np.stack((1 / seconds, images / seconds), axis=1), np.ones(len(series)))[0]
    return float(fixed), float(each)


def outlook(rows: list[ScaleRow]) -> list[str]:
    """Returns the hours of workers for more images, from one worker's time per image here."""
    lines = ["| images | " + " | ".join(f"{step}, worker hours" for step in STEPS) + " | workers for an hour |"]
    lines.append("|---:|" + "---:|" * (len(STEPS) + 1))
    alone = (PHOTOGRAPHS, "local", 1)
    series = {part[0].step: part for part in _series(rows) if (part[0].kind, part[0].profile, part[0].workers) == alone}
    if any(len(series.get(step, [])) < 2 for step in STEPS):
        return ["(For an outlook, measure two numbers of images at least, locally and with one worker.)"]
    for images in (1_000_000, 100_000_000):
        hours = [cost(series[step])[1] * images / 3600 for step in STEPS]
        workers = max(1, math.ceil(sum(hours)))
        lines.append(f"| {images:,} | " + " | ".join(f"{value:,.1f}" for value in hours) + f" | {workers:,} |")
    return lines


def draw(rows: list[ScaleRow]) -> None:
    """Plots seconds and memory by images, a line for each number of workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(STEPS), sharex=True)
    for series in _series([row for row in rows if row.kind == PHOTOGRAPHS]):
        first = series[0]
        column = STEPS.index(first.step)
        label = f"{first.profile}, {first.workers} worker{'s' * (first.workers > 1)}"
        images = [row.images for row in series]
        axes[0, column].loglog(images, [row.seconds for row in series], "o-", label=label)
        axes[1, column].semilogx(images, [row.megabytes for row in series], "o-", label=label)
    for step, seconds, memory in zip(STEPS, *axes, strict=True):
        seconds.set_title(step)
        seconds.grid(alpha=0.3)
        memory.set(xlabel="images", ylim=(0, None))
        memory.grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak MB of all processes")
    axes[0, 0].legend()
    figure.savefig(PLOT, metadata={"Date": None})


def _series(rows: list[ScaleRow]) -> list[list[ScaleRow]]:
    """Returns the rows of each kind of images, step, profile and number of workers, by the number of images."""
    groups = itertools.groupby(sorted(rows, key=_key), key=lambda row: _key(row)[:4])
    return [list(series) for _, series in groups]


if __name__ == "__main__":
    main()
