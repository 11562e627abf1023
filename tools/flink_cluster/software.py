"""Software of the cluster, fetched once into a cache: Java, Flink from PyPI, Beam's job server from Maven."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from crackgate.atomic_files import whole_folder

# Beam's runner for this line of Flink: flink.line in pom.xml.
FLINK_VERSION = "1.19.3"

# Downloads, and the files of a running cluster.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crackgate"

_POM = Path(__file__).parent / "pom.xml"
_LEAST_JAVA = 11


class MissingSoftwareError(Exception):
    """Software is missing and could not be fetched; the message names it and the next step."""


@dataclass(frozen=True)
class Software:
    """Paths of the software."""

    java: str
    flink_libraries: Path
    job_server_libraries: Path


def fetch_software() -> Software:
    """Finds the software, and downloads missing parts: 230 MB from PyPI, 160 MB from Maven Central.

    It raises MissingSoftwareError without Java or Maven (before any download), or when a download fails.
    """
    java = _find_java()
    job_server = CACHE / f"job-server-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    if not job_server.is_dir() and not shutil.which("mvn"):
        raise MissingSoftwareError("mvn is not on the PATH: install Maven (Debian: apt-get install maven)")
    flink = CACHE / f"flink-{FLINK_VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not flink.is_dir():
        with TemporaryDirectory(dir=CACHE, prefix="part-") as work:
            _fetch_flink(flink, Path(work))
    if not job_server.is_dir():
        _fetch_job_server(job_server)
    return Software(java, flink, job_server)


def _find_java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    advice = f"install a JDK of version {_LEAST_JAVA} to 17 (Debian: apt-get install openjdk-17-jre-headless)"
    if not java or not Path(java).is_file():
        raise MissingSoftwareError(f"{java or 'java'} is not there: {advice}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if not version or int(version[1]) < _LEAST_JAVA:
        raise MissingSoftwareError(f"{java} calls itself {said.splitlines()[:1]}: {advice}")
    return java


def _fetch_flink(target: Path, work: Path) -> None:
    # An environment of its own: the project's has no pip.
    _run([sys.executable, "-m", "venv", str(work / "pip")], "make a virtual environment (python3-venv)")
    pip = [str(work / "pip" / "bin" / "python"), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
    _run([*pip, f"apache-flink-libraries=={FLINK_VERSION}"], "download Flink from PyPI")
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as members, whole_folder(target) as libraries:
        for member in members:
            path = Path(member.name)
            if path.parent.name == "lib" and path.suffix == ".jar":
                member.name = path.name
                members.extract(member, libraries, filter="data")


def _fetch_job_server(target: Path) -> None:
    with whole_folder(target) as libraries:
        _run(
            [
                *("mvn", "--batch-mode", "--quiet", "--file", str(_POM), "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={libraries}"),
            ],
            "fetch Beam's Flink job server with Maven (versions: tools/flink_cluster/pom.xml)",
        )


def _run(command: list[str], purpose: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-10:])
        raise MissingSoftwareError(f"could not {purpose}; {command[0]} said:\n{last}")
