"""What is killed in the middle of a job on Flink changes nothing of what the job leaves."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crackgate.config.beam import BeamOptions
from crackgate.config.data import DataOptions
from crackgate.images.sample_data import write_sample_data

if TYPE_CHECKING:
    from conftest import Bench

    from tools.flink_cluster.cluster import FlinkCluster

pytestmark = pytest.mark.flink

# Five batches of files: the task managers share them.
_IMAGES = 1200


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_sample_data(folder, _IMAGES, size=64)
    return folder


@pytest.fixture(scope="module")
def undisturbed(images: Path, new_bench: "Callable[..., Bench]") -> dict[str, list[bytes]]:
    return _ingest(new_bench(), images)


@pytest.fixture
def healthy(flink: "FlinkCluster") -> "Iterator[FlinkCluster]":
    """Whole again after each test."""
    yield flink
    for name, alive in flink.is_alive().items():
        part, _, number = name.rpartition("-")
        if not alive:
            {"task-manager": flink.start_task_manager, "worker-pool": flink.start_worker_pool}[part](int(number))
    flink.wait_until(lambda: flink.task_managers() == 2, "two task managers")


def _ingest(bench: "Bench", folder: Path) -> dict[str, list[bytes]]:
    from components.image_example_gen.component import ImageExampleGen

    bench.run(
        ImageExampleGen(
            folder,
            ["Negative", "Positive"],
            DataOptions(min_side=1, max_pixels=10**6, max_bytes=10**6, max_rejected_share=0.0, max_imbalance=1.0),
        )
    )
    folder = Path(bench.output("ImageExampleGen", "examples").uri)
    left = [path.name for path in folder.rglob("*") if path.parent.name.startswith("Split-")]
    # The Trainer takes everything there for a file of examples.
    assert all(name.endswith(".gz") for name in left), left
    return {
        split: sorted(example.SerializeToString(deterministic=True) for example in stored)
        for split, stored in bench.examples().items()
    }


@contextmanager
def _once_reading(bench: "Bench", act: Callable[[], None]) -> Iterator[None]:
    """Acts as soon as the first image has been staged; others are still to be read then."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            if any(file.stat().st_size for file in bench.root.rglob("*.staged")):
                act()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _options(flink: "FlinkCluster") -> BeamOptions:
    return BeamOptions(profile="flink", job_endpoint=flink.job_endpoint, worker_pool=flink.worker_pool, parallelism=2)


def _newest_job(flink: "FlinkCluster") -> str:
    return max(flink.ask("/jobs/overview")["jobs"], key=lambda job: job["start-time"])["jid"]


def _attempts(flink: "FlinkCluster") -> int:
    """Highest attempt among the subtasks of the newest job, from 0 on."""
    job = _newest_job(flink)
    return max(
        subtask["attempt"]
        for vertex in flink.ask(f"/jobs/{job}")["vertices"]
        for subtask in flink.ask(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]
    )


@pytest.mark.parametrize("number", [0, 1])
def test_a_killed_task_manager_costs_no_example(
    number: int,
    healthy: "FlinkCluster",
    images: Path,
    undisturbed: dict[str, list[bytes]],
    new_bench: "Callable[..., Bench]",
) -> None:
    bench = new_bench(beam=_options(healthy))
    with _once_reading(bench, lambda: healthy.kill_task_manager(number)):
        stored = _ingest(bench, images)
    assert not healthy.is_alive()[f"task-manager-{number}"]
    assert _attempts(healthy) > 0
    assert stored == undisturbed and sum(map(len, stored.values())) == _IMAGES


def test_a_killed_worker_pool_that_comes_back_costs_no_example(
    healthy: "FlinkCluster", images: Path, undisturbed: dict[str, list[bytes]], new_bench: "Callable[..., Bench]"
) -> None:
    bench = new_bench(beam=_options(healthy))

    def restart() -> None:
        healthy.kill_worker_pool(0)
        healthy.start_worker_pool(0)

    with _once_reading(bench, restart):
        stored = _ingest(bench, images)
    assert _attempts(healthy) > 0
    assert stored == undisturbed


def test_a_worker_pool_that_stays_away_fails_the_step_and_another_run_mends_it(
    healthy: "FlinkCluster", images: Path, undisturbed: dict[str, list[bytes]], new_bench: "Callable[..., Bench]"
) -> None:
    bench = new_bench(beam=_options(healthy))
    healthy.kill_worker_pool(0)
    healthy.kill_worker_pool(1)
    with pytest.raises(RuntimeError, match="failed in state FAILED"):
        _ingest(bench, images)
    healthy.start_worker_pool(0)
    healthy.start_worker_pool(1)
    assert _ingest(bench, images) == undisturbed
