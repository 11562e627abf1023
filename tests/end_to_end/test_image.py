"""The container image, built on a base from Debian's packages and run with no network, no rights, nothing writable.

`make test-image`. It needs root, debootstrap, podman and runc, Debian's packages and PyPI, but no image registry.
"""

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crackgate.source_digest import PACKAGES
from tests.helpers.command import PROJECT, QUICK

pytestmark = pytest.mark.image

BASE = "localhost/crackgate-test-base:bookworm"
IMAGE = "localhost/crackgate-test:latest"
PODMAN = ("podman", "--runtime=runc", "--cgroup-manager=cgroupfs")
USER = 10001
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Beam's worker pool runs what is brought to it from another process.
BEAM_JOB = """
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

options = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=EXTERNAL"]
with beam.Pipeline(options=PipelineOptions([*options, "--environment_config=localhost:50000"])) as pipeline:
    total = pipeline | beam.Create(range(100)) | beam.Map(lambda number: number * number) | beam.CombineGlobally(sum)
    assert_that(total, equal_to([328350]))
print("summed")
"""


def _limits() -> list[str]:
    """Podman's defaults may be above what a machine in a sandbox is allowed."""
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1048576)
    return [f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=4096:4096"]


def _podman(*arguments: object, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PODMAN, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=seconds, cwd=PROJECT
    )


def _locked_down(*mounts: str) -> list[str]:
    """Options of `podman run`: what the restricted Pod Security Standard and a read-only root file system allow."""
    return [
        "--network=none",
        "--read-only",
        "--read-only-tmpfs=false",
        "--tmpfs=/tmp:mode=1777",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        *_limits(),
        *(f"--volume={mount}" for mount in mounts),
    ]


@pytest.fixture(scope="module")
def image() -> str:
    missing = [tool for tool in ("podman", "runc", "debootstrap") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    if _podman("image", "exists", BASE).returncode != 0:
        made = subprocess.run(
            ["kubeflow/image/import-base.sh", BASE], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout + made.stderr
    # The host's network: the build needs no bridge then. The host's certificates: it may be behind a proxy.
    certificates = f"--volume={os.path.realpath(CERTIFICATES)}:{CERTIFICATES}:ro"
    options = ("--runtime=runc", "--network=host", f"--build-arg=BASE={BASE}", certificates)
    built = subprocess.run(
        ["kubeflow/image/build.sh", IMAGE, *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-5000:] + built.stderr[-5000:]
    return IMAGE


def _run(image: str, *command: object, mounts: tuple[str, ...] = ()) -> str:
    finished = _podman("run", "--rm", *_locked_down(*mounts), image, *command)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_it_names_itself(image: str) -> None:
    assert _run(image, "crackgate", "--version") == f"crackgate {_version()}\n"
    assert "train-worker" in _run(image)
    (found,) = json.loads(_podman("image", "inspect", image).stdout)
    labels = {name.rpartition(".")[2]: value for name, value in found["Labels"].items() if "opencontainers" in name}
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert labels["version"] == _version() and labels["licenses"] == "Apache-2.0"
    assert labels["revision"].removesuffix("-modified") == revision.stdout.strip()
    assert found["Config"]["User"] == f"{USER}:{USER}"


def test_it_tells_its_packages_and_their_licences(image: str) -> None:
    folder = "/opt/crackgate/share/crackgate"
    bill = json.loads(_run(image, "cat", f"{folder}/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "crackgate"
    names = {each["name"] for each in bill["components"]}
    assert {"tfx", "tensorflow", "kfp"} <= names and not {"pytest", "cyclonedx-bom", "pip-licenses"} & names
    assert "Apache License" in _run(image, "cat", f"{folder}/third-party-licences.txt")


def test_it_has_no_rights_and_no_compiler(image: str) -> None:
    state = _run(image, "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in state.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] == str(USER) and fields["NoNewPrivs"] == "1"
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    script = "for tool in gcc g++ cc c++ make ld pip uv; do command -v $tool && exit 1; done; ! touch /opt/crackgate/x"
    _run(image, "sh", "-c", script)


def test_it_holds_every_file_of_the_project_and_compiled_bytecode(image: str) -> None:
    script = (
        "import pathlib, sysconfig\n"
        "root = pathlib.Path(sysconfig.get_path('purelib'))\n"
        f"for folder in {PACKAGES}:\n"
        "    for file in (root / folder).rglob('*'):\n"
        "        print(file.relative_to(root))\n"
    )
    found = set(_run(image, "python", "-c", script).splitlines())
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wanted = {file for file in tracked if not file.startswith(("kubeflow/image/", "kubeflow/manifests/"))}
    assert wanted <= found, wanted - found
    for file in (Path(name) for name in wanted if name.endswith(".py")):
        assert str(file.parent / "__pycache__" / f"{file.stem}.cpython-311.pyc") in found


def test_it_imports_everything_without_a_network(image: str) -> None:
    modules = "tfx.v1, kfp, tensorflow_model_analysis, openvino, pipeline.definition, trainer.run_fn, trainer.tuner"
    assert "1.21.0" in _run(image, "python", "-c", f"import {modules}; import tfx; print(tfx.__version__)")


def test_a_whole_run_releases_a_model_that_predicts(image: str, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, USER, USER)
    mounts = (f"{volume}:/workspace",)
    _run(image, "crackgate", "sample-data", "/workspace/photographs", "--count", 240, mounts=mounts)
    settings = [part for setting in QUICK for part in ("--set", setting)]
    options = ("--data", "/workspace/photographs", "--workspace", "/workspace", *settings)
    output = _run(image, "crackgate", "run", *options, mounts=mounts)
    assert len(list(volume.glob("serving/*/saved_model.pb"))) == 1, output
    (report,) = volume.glob("runs/*/report.html")
    assert report.stat().st_size > 100_000
    read_only = (f"{volume}:/workspace:ro",)
    photograph = "/workspace/photographs/Positive"
    answers = json.loads(
        _run(image, "crackgate", "predict", photograph, "--workspace=/workspace", "--json", mounts=read_only)
    )
    assert len(answers) == 120 and {answer["error"] for answer in answers} <= {None, ""}


@pytest.fixture
def worker_pool(image: str, tmp_path: Path) -> Iterator[str]:
    job = tmp_path / "job.py"
    job.write_text(BEAM_JOB)
    pool = ("python", "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port=50000")
    started = _podman("run", "--detach", *_locked_down(f"{job}:/job.py:ro"), image, *pool)
    assert started.returncode == 0, started.stderr
    container = started.stdout.split()[-1]
    yield container
    _podman("rm", "--force", "--time=0", container)


def test_its_worker_pool_works_and_stops_when_told_to(worker_pool: str) -> None:
    connect = "import socket; socket.create_connection(('localhost', 50000), 1)"
    until = time.monotonic() + 120
    while _podman("exec", worker_pool, "python", "-c", connect).returncode != 0:
        assert time.monotonic() < until, _podman("logs", worker_pool)
        time.sleep(1)
    done = _podman("exec", worker_pool, "python", "/job.py")
    assert done.returncode == 0 and "summed" in done.stdout, done.stdout + done.stderr
    assert "Starting worker with command" in _podman("logs", worker_pool).stderr
    stopped = _podman("stop", "--time=60", worker_pool)
    assert stopped.returncode == 0 and "resorting to SIGKILL" not in stopped.stderr


def _version() -> str:
    lines = (PROJECT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))
