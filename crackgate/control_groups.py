"""The cores and the memory that this process may use: those of the machine, or what its control groups allow.

A container's limits are those of a control group (cgroup, version 1 or 2), which Python's own counts leave out.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

_ROOT = Path("/")
_UNLIMITED = -1


def usable_cores(root: Path = _ROOT) -> int:
    """Cores, at least 1; a quota of 1.5 is two. `root` holds `proc` and `sys`."""
    allowed = [len(os.sched_getaffinity(0))]
    for folder in _control_groups(root, "cpu"):
        quota = _numbers(folder, "cpu.max") or _numbers(folder, "cpu.cfs_quota_us", "cpu.cfs_period_us")
        if quota and min(quota) > 0:
            allowed.append(math.ceil(quota[0] / quota[1]))
    return min(allowed)


def usable_memory(root: Path = _ROOT) -> int:
    """Bytes of memory, in use or not. `root` holds `proc` and `sys`."""
    allowed = [psutil.virtual_memory().total]
    for folder in _control_groups(root, "memory"):
        limit = _numbers(folder, "memory.max") or _numbers(folder, "memory.limit_in_bytes")
        allowed += [number for number in limit if number > 0]
    return int(min(allowed))


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those that hold it; a container may see only the last ones."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            top = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controller
        else:
            continue
        own = Path(path.lstrip("/"))
        yield from (top / group for group in (own, *own.parents))


def _numbers(folder: Path, *names: str) -> list[int]:
    """The numbers in files; none where a file is missing."""
    try:
        words = [word for name in names for word in (folder / name).read_text(encoding="ascii").split()]
    except OSError:
        return []
    return [_UNLIMITED if word == "max" else int(word) for word in words]
