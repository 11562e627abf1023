"""The parts of this machine that crackgate uses: whether they are there, and suffice."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from crackgate.control_groups import usable_memory

# A run on 700 photographs peaks at 2.8 GiB, and leaves 0.1 GiB in its workspace.
_LEAST_MEMORY = 3 * 2**30
_LEAST_DISK = 2**30
_LEAST_TEMPORARY = 2**28
# Seconds that a program may take to say its version.
_PATIENCE = 10


@dataclass(frozen=True)
class Equipment:
    """A part of the machine. `found` is said in words, `advice` what to do where `is_there` is false."""

    name: str
    is_required: bool
    is_there: bool
    found: str
    needed_for: str
    advice: str


def list_equipment(workspace: Path) -> list[Equipment]:
    """Returns what a run in this workspace needs, then what single features do."""
    return [
        _python(),
        _packages(),
        _memory(),
        _disk("disk", workspace, _LEAST_DISK, "the workspace: artifacts, models, reports", "another --workspace"),
        _temporary_files(),
        _compiler(),
        _gpu(),
        _program(
            "model server",
            ("tensorflow_model_server", "--version"),
            "ServingCheck: the model answers in TensorFlow Serving, too",
            "install tensorflow-model-server, or leave that check out",
        ),
        _program("Java", (_java(), "-version"), "a Flink cluster on this machine (make flink-up)", "install Java 17"),
        _extra("kubeflow", "kfp", "crackgate kubeflow"),
        _extra("heic", "pi_heif", "photographs in HEIC, as iPhones write them"),
    ]


def _python() -> Equipment:
    machine = f"{platform.system()} {platform.machine()}"
    return Equipment(
        name="Python",
        is_required=True,
        is_there=sys.version_info[:2] == (3, 11) and machine == "Linux x86_64",
        found=f"{platform.python_version()} on {machine}",
        needed_for="everything: TFX has packages for 3.11 on Linux x86_64",
        advice="install crackgate with Python 3.11 on Linux x86_64",
    )


def _packages() -> Equipment:
    versions, missing = [], []
    for name in ("tfx", "tensorflow", "apache-beam", "openvino"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"no {name}")
    return Equipment(
        name="packages",
        is_required=True,
        is_there=not missing,
        found=", ".join(missing + versions),
        needed_for="training, judging and serving",
        advice="install the locked environment: make install",
    )


def _memory() -> Equipment:
    total, available = psutil.virtual_memory().total, psutil.virtual_memory().available
    limit = usable_memory()
    limited = f", limited to {_say_bytes(limit)} by its control group" if limit < total else ""
    return Equipment(
        name="memory",
        is_required=True,
        is_there=limit >= _LEAST_MEMORY,
        found=f"{_say_bytes(total)}, {_say_bytes(available)} available{limited}",
        needed_for=f"a run: {_say_bytes(_LEAST_MEMORY)}, and more for many images (docs/scale.md)",
        advice="use a machine, or a container limit, with more memory",
    )


def _disk(name: str, folder: Path, least: int, needed_for: str, other: str) -> Equipment:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.isdir(each))
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK | os.X_OK) and _is_or_may_be_folder(folder)
    unwritable = "" if writable else f", but {str(folder)!r} cannot be written to"
    return Equipment(
        name=name,
        is_required=True,
        is_there=writable and free >= least,
        found=f"{_say_bytes(free)} free in {str(there)!r}{unwritable}",
        needed_for=f"{needed_for} ({_say_bytes(least)} at least)",
        advice=f"make room, or choose {other}",
    )


def _is_or_may_be_folder(place: Path) -> bool:
    try:
        return stat.S_ISDIR(place.stat().st_mode)
    except FileNotFoundError:
        return True
    except OSError:  # below a file, too long a name, a parent that this user may not enter
        return False


def _temporary_files() -> Equipment:
    def look(folder: Path) -> Equipment:
        return _disk("temporary files", folder, _LEAST_TEMPORARY, "every run", "a TMPDIR with room")

    try:
        return look(Path(tempfile.gettempdir()))
    except FileNotFoundError as error:  # it tries each by writing a file
        return replace(look(Path("/")), is_there=False, found=str(error.strerror))


def _java() -> str:
    """As `make flink-up` finds it."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def _compiler() -> Equipment:
    compiler = shutil.which("g++")
    header = Path(sysconfig.get_path("include"), "Python.h").is_file()
    return Equipment(
        name="compiler",
        is_required=False,
        is_there=compiler is not None and header,
        found=", ".join([compiler or "no g++", "Python.h" if header else "no Python.h"]),
        needed_for="installing: some packages are built then (make install)",
        advice="install g++ and Python's headers: apt-get install g++ python3-dev",
    )


def _gpu() -> Equipment:
    shown = _say_output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    libraries = importlib.util.find_spec("nvidia") is not None and importlib.util.find_spec("nvidia.cudnn") is not None
    found = shown or "none that nvidia-smi shows"
    return Equipment(
        name="GPU",
        is_required=False,
        is_there=bool(shown) and libraries,
        found=found if libraries or not shown else f"{found}, but not the CUDA libraries of the extra 'gpu'",
        needed_for="faster training and scoring; a CPU does both",
        advice="install NVIDIA's driver, and crackgate with its extra 'gpu'",
    )


def _program(name: str, command: tuple[str, ...], needed_for: str, advice: str) -> Equipment:
    said = _say_output(*command)
    return Equipment(
        name=name,
        is_required=False,
        is_there=bool(said),
        found=said or f"no {command[0]} that runs",
        needed_for=needed_for,
        advice=advice,
    )


def _extra(extra: str, package: str, needed_for: str) -> Equipment:
    there = importlib.util.find_spec(package) is not None
    return Equipment(
        name=f"extra {extra}",
        is_required=False,
        is_there=there,
        found=package if there else f"no {package}",
        needed_for=needed_for,
        advice=f"install crackgate[{extra}]",
    )


def _say_output(*command: str) -> str:
    """The first line that a program prints, or "" where it is not there or fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (ended.stdout + ended.stderr).strip().partition("\n")[0]


def _say_bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
