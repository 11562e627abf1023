"""Time and memory of the Beam steps by number of images and of workers: the table, plot and outlook in docs/scale.md.

Ingest, statistics (StatisticsGen) and evaluation (TFMA, of all images, by a small network) run on copies of the
photographs with noise where there are too few; each measurement in a process of its own, from the start of the
component to its end, so without Python's imports but with the start of workers. What was measured is kept in
docs/scale.csv, so that a long run can be done in parts; a figure that is there is measured again, and replaced. On
Flink a worker is a task manager with one slot and its pool, of a cluster that is started for the measurement.

    python tools/benchmarks/scale.py --photographs ../shared/data/concrete --counts 1000 5000 --workers 1 2
"""

import argparse
import csv
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from crackgate.config.beam import BeamOptions
from pipeline.beam_profiles import beam_pipeline_args
from tools.benchmarks.ingest import PHOTOGRAPHS, PROJECT, gather
from tools.flink_cluster.cluster import FlinkCluster
from tools.flink_cluster.software import MissingSoftwareError, fetch_software

FIGURES = PROJECT / "docs" / "scale.csv"
PLOT = PROJECT / "docs" / "scale.svg"
PAGE = PROJECT / "docs" / "scale.md"
BEGIN, END = "<!-- written by make benchmark-scale -->", "<!-- end of what it writes -->"

STEPS = ("ingest", "statistics", "evaluation")
COMPONENTS = {"ingest": "ImageExampleGen", "statistics": "StatisticsGen"}
PROFILES = ("local", "flink")


@dataclass(frozen=True)
class Measured:
    """One row of docs/scale.csv: seconds, and the peak memory in MB of the largest process, NaN where it is unknown."""

    step: str
    profile: str
    workers: int
    images: int
    seconds: float
    megabytes: float


def main() -> None:
    """Measures, prints a row for each measurement, and writes the page anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="a folder with one sub-folder per class")
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 5000, 10_000, 40_000], help="numbers of images")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of worker processes")
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES), help="where Beam runs")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="ingest comes before the others")
    parser.add_argument("--measure", nargs=3, metavar=("STEP", "OPTIONS", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        step, options, folder = arguments.measure
        print(json.dumps(measure(step, Path(folder), BeamOptions.model_validate_json(options))))
        return
    files = sorted(arguments.photographs.glob("*/*.jpg"))
    if not files and arguments.counts:
        parser.error(f"no photographs in {arguments.photographs}: give a folder with one sub-folder per class")
    profiles = [profile for profile in arguments.profiles if is_there(profile)]
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            gather(files, count, Path(folder, "data"))
            for profile in profiles:
                for workers in arguments.workers:
                    with started(profile, workers, Path(folder)) as options:
                        for step in arguments.steps:
                            keep(run(step, profile, workers, options, count, Path(folder)))
    write_page(load())


def is_there(profile: str) -> bool:
    """Whether it can be measured here; says what is missing."""
    if profile == "flink":
        try:
            fetch_software()
        except MissingSoftwareError as missing:
            print(f"not measured: {profile}: {missing}", file=sys.stderr)
            return False
    return True


@contextmanager
def started(profile: str, workers: int, folder: Path) -> Iterator[BeamOptions]:
    """The configuration of a number of workers: processes of this machine, or task managers of a running cluster."""
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
        yield BeamOptions(profile="local" if workers == 1 else "local-parallel", workers=workers)


def run(step: str, profile: str, workers: int, options: BeamOptions, count: int, folder: Path) -> Measured:
    """Measures in a new process, which finds in `folder` what the steps before have left."""
    command = [sys.executable, __file__, "--measure", step, options.model_dump_json(), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"{step} of {count} images, {profile}, {workers} workers failed:\n{finished.stderr[-4000:]}")
    seconds, megabytes = json.loads(finished.stdout.splitlines()[-1])
    # Flink's workers are no children of the process.
    measured = Measured(step, profile, workers, count, round(seconds, 2), math.nan if profile == "flink" else megabytes)
    print(*asdict(measured).values(), sep="\t", flush=True)
    return measured


def measure(step: str, folder: Path, options: BeamOptions) -> tuple[float, int]:
    """Seconds, and the peak memory in MB of the largest process."""
    output = folder / f"{options.profile}-{options.workers or options.parallelism}"
    output.mkdir(exist_ok=True)
    if step == "evaluation":
        seconds = evaluate(output, options)
    else:
        seconds = run_components(step, folder / "data", output, options)
    usages = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return seconds, round(max(usages) / 1024)


def run_components(step: str, data: Path, output: Path, options: BeamOptions) -> float:
    """Runs the pipeline up to `step`, with what is there from the cache; returns the step's own seconds."""
    from ml_metadata import MetadataStore
    from tfx import v1 as tfx

    from components.curated_schema.component import CuratedSchema
    from components.image_example_gen.component import ImageExampleGen
    from crackgate.config.data import DataOptions
    from crackgate.config.schema import SchemaOptions
    from crackgate.images.image_folder import find_classes
    from pipeline.definition import expected_statistics

    classes = find_classes(data)
    example_gen = ImageExampleGen(data, classes, DataOptions(max_imbalance=1))
    schema = CuratedSchema(classes, SchemaOptions())
    statistics_gen = expected_statistics(example_gen, schema)
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(output / "metadata.sqlite"))
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="benchmark",
            pipeline_root=str(output / "pipeline"),
            components=[example_gen] if step == "ingest" else [example_gen, schema, statistics_gen],
            enable_cache=True,
            metadata_connection_config=connection,
            beam_pipeline_args=beam_pipeline_args(options),
        )
    )
    store = MetadataStore(connection)
    node = store.get_context_by_type_and_name("node", f"benchmark.{COMPONENTS[step]}")
    (execution,) = store.get_executions_by_context(node.id)
    return float(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000


def evaluate(output: Path, options: BeamOptions) -> float:
    """Evaluates all splits as the Evaluator does one."""
    from tools.benchmarks import evaluation

    model = output / "model"
    evaluation.save_model(model)
    examples = output / "pipeline" / "ImageExampleGen" / "examples" / "1" / "Split-*" / "*"
    return evaluation.evaluate(model, examples, output / "evaluation", options)


def load() -> list[Measured]:
    """What was measured so far."""
    if not FIGURES.exists():
        return []
    with FIGURES.open(newline="") as file:
        return [
            Measured(
                row["step"],
                row["profile"],
                int(row["workers"]),
                int(row["images"]),
                float(row["seconds"]),
                float(row["megabytes"]),
            )
            for row in csv.DictReader(file)
        ]


def keep(measured: Measured) -> None:
    """Adds to what was measured, or replaces it."""
    rows = {_key(row): row for row in [*load(), measured]}
    with FIGURES.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(measured)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rows[key]) for key in sorted(rows))


def _key(row: Measured) -> tuple[int, str, int, int]:
    return STEPS.index(row.step), row.profile, row.workers, row.images


def write_page(rows: list[Measured]) -> None:
    """Writes the tables into the page, and the plot beside it."""
    if not rows:
        sys.exit(f"nothing is measured yet: give --counts; figures are kept in {FIGURES}")
    draw(rows)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n".join([BEGIN, "", *table(rows), "", *growth(rows), "", *outlook(rows), "", END])
    PAGE.write_text(before + tables + after, encoding="utf-8")


def table(rows: list[Measured]) -> list[str]:
    """One line for each step, profile and number of images."""
    lines = ["| step | Beam | images | workers | seconds | images/s | peak MB | speed-up |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|")
    for row in sorted(rows, key=lambda row: (STEPS.index(row.step), row.profile, row.images, row.workers)):
        alone = _find(rows, row, workers=1)
        speed_up = f"{alone.seconds / row.seconds:.2f}" if alone and row.workers > 1 else ""
        memory = "" if math.isnan(row.megabytes) else f"{row.megabytes:.0f}"
        rate = row.images / row.seconds
        lines.append(
            f"| {row.step} | {row.profile} | {row.images:,} | {row.workers} | {row.seconds:.1f} | {rate:,.0f} "
            f"| {memory} | {speed_up} |"
        )
    return lines


def growth(rows: list[Measured]) -> list[str]:
    """How time and memory grow with the images, and what an image costs beside what every run does."""
    lines = ["| step | Beam | workers | exponent of time | fixed s | ms an image | memory, most over least |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for series in _series(rows):
        if len(series) < 2:
            continue
        images, seconds = (np.array([getattr(row, name) for row in series]) for name in ("images", "seconds"))
        exponent = np.polyfit(np.log(images), np.log(seconds), 1)[0]
        fixed, each = cost(series)
        memory = [row.megabytes for row in series if not math.isnan(row.megabytes)]
        flat = f"{max(memory) / min(memory):.2f}" if memory else ""
        first = series[0]
        lines.append(
            f"| {first.step} | {first.profile} | {first.workers} | {exponent:.2f} | {fixed:.1f} | {each * 1e3:.2f} "
            f"| {flat} |"
        )
    return lines


def cost(series: list[Measured]) -> tuple[float, float]:
    """Seconds of a run whatever its images, and of each image: least squares of the relative error, neither below 0."""
    from scipy.optimize import nnls

    images, seconds = (np.array([getattr(row, name) for row in series], float) for name in ("images", "seconds"))
    fixed, each = nnls(np.stack((1 / seconds, images / seconds), axis=1), np.ones(len(series)))[0]
    return float(fixed), float(each)


def outlook(rows: list[Measured]) -> list[str]:
    """Hours of workers for more images, by what an image costs one worker here."""
    lines = ["| images | " + " | ".join(f"{step}, worker hours" for step in STEPS) + " | workers for an hour |"]
    lines.append("|---:|" + "---:|" * (len(STEPS) + 1))
    series = {part[0].step: part for part in _series(rows) if (part[0].profile, part[0].workers) == ("local", 1)}
    if any(len(series.get(step, [])) < 2 for step in STEPS):
        return ["(For an outlook, measure two numbers of images at least, locally and with one worker.)"]
    for images in (1_000_000, 100_000_000):
        hours = [cost(series[step])[1] * images / 3600 for step in STEPS]
        workers = max(1, math.ceil(sum(hours)))
        lines.append(f"| {images:,} | " + " | ".join(f"{value:,.1f}" for value in hours) + f" | {workers:,} |")
    return lines


def draw(rows: list[Measured]) -> None:
    """Seconds and memory by images, a line for each number of workers."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(STEPS), figsize=(11, 6), sharex=True, layout="constrained")
    for series in _series(rows):
        first = series[0]
        column = STEPS.index(first.step)
        label = f"{first.profile}, {first.workers} worker{'s' * (first.workers > 1)}"
        images = [row.images for row in series]
        axes[0, column].loglog(images, [row.seconds for row in series], "o-", label=label)
        axes[1, column].semilogx(images, [row.megabytes for row in series], "o-", label=label)
    for column, step in enumerate(STEPS):
        axes[0, column].set_title(step)
        axes[1, column].set_ylim(bottom=0)
        axes[1, column].set_xlabel("images")
        axes[0, column].grid(alpha=0.3)
        axes[1, column].grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak MB of the largest process")
    axes[0, 0].legend()
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


def _series(rows: list[Measured]) -> list[list[Measured]]:
    """The rows of each step, profile and number of workers, by images."""
    parts: dict[tuple[int, str, int], list[Measured]] = {}
    for row in sorted(rows, key=_key):
        parts.setdefault(_key(row)[:3], []).append(row)
    return list(parts.values())


def _find(rows: list[Measured], like: Measured, workers: int) -> Measured | None:
    key = (*_key(like)[:2], workers, like.images)
    return next((row for row in rows if _key(row) == key), None)


if __name__ == "__main__":
    main()
