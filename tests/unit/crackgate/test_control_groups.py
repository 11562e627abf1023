"""Cores and memory as a container's control groups limit them."""

import os
from pathlib import Path

import psutil
import pytest

from crackgate.control_groups import usable_cores, usable_memory

CORES = len(os.sched_getaffinity(0))
MEMORY = psutil.virtual_memory().total
GIB = 2**30


def _root(root: Path, groups: str, limits: dict[str, str]) -> Path:
    files = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


V1 = "4:memory:/pod/one\n3:cpu,cpuacct:/pod/one\n0::/"


@pytest.mark.parametrize(
    ("groups", "files", "cores", "memory"),
    [
        pytest.param("0::/", {"cpu.max": "100000 100000", "memory.max": str(GIB)}, 1, GIB, id="container"),
        pytest.param("0::/", {"cpu.max": "50000 100000"}, 1, MEMORY, id="half a core"),
        pytest.param("0::/", {"cpu.max": "max 100000", "memory.max": "max"}, CORES, MEMORY, id="no limit"),
        pytest.param(
            "0::/slice/one",
            {"slice/memory.max": str(GIB), "slice/one/memory.max": str(2 * GIB), "slice/cpu.max": "1000 1000"},
            *(1, GIB),
            id="limit of the group above",
        ),
        pytest.param(
            V1,
            {
                "cpu/pod/cpu.cfs_quota_us": "100000",
                "cpu/pod/cpu.cfs_period_us": "100000",
                "cpu/pod/one/cpu.cfs_quota_us": "-1",
                "cpu/pod/one/cpu.cfs_period_us": "100000",
                "memory/pod/one/memory.limit_in_bytes": str(GIB),
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            *(1, GIB),
            id="version 1",
        ),
        pytest.param(V1, {"memory/memory.limit_in_bytes": str(GIB)}, CORES, GIB, id="version 1 in a container"),
    ],
)
def test_the_tightest_limit_counts(groups: str, files: dict[str, str], cores: int, memory: int, tmp_path: Path) -> None:
    root = _root(tmp_path, groups, files)
    assert (usable_cores(root), usable_memory(root)) == (cores, memory)


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    assert (usable_cores(tmp_path), usable_memory(tmp_path)) == (CORES, MEMORY)


def test_a_process_that_is_bound_to_one_core_has_one() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:1])
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_here_it_is_some_of_the_machine() -> None:
    assert 1 <= usable_cores() <= CORES
    assert 2**20 < usable_memory() <= MEMORY
