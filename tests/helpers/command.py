"""The command line, started as a user starts it, or forked from a process that has TFX loaded already."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
_PROGRAM = (sys.executable, "-c", "from crackgate_cli.main import main; main()")
# Small and quick, with thresholds that so little training reaches.
QUICK = (
    "train.image_size=64",
    "train.views=1",
    "train.head_epochs=15",
    "train.fine_tune_epochs=1",
    # Of so few images on eval, 0.995 would allow no miss at all.
    "train.target_recall=0.9",
    "gate.min_accuracy=0.6",
    "gate.min_auc=0.6",
    "gate.min_precision=0.3",
    "gate.min_recall=0.3",
    "gate.max_accuracy_drop=0.5",
    "gate.max_recall_drop=0.5",
)


@dataclass(frozen=True)
class Run:
    """A finished `crackgate run`."""

    exit_code: int | None
    output: str
    summary: dict[str, Any]

    @property
    def requirements(self) -> dict[tuple[str, str | None, str], dict[str, Any]]:
        """Lines of the gate on all test images by metric, class and change ("" or "absolute")."""
        rows = self.summary["evaluation"]["requirements"]
        return {(row["metric"], row["label"], row["change"]): row for row in rows if row["slice"] == "all images"}

    @property
    def states(self) -> dict[str, str]:
        """State of each component: "complete", "cached" or "failed"."""
        return {component["name"]: component["state"] for component in self.summary["components"]}


def crackgate(*arguments: object, cwd: Path = PROJECT, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Runs the command with the sources below `cwd`."""
    return subprocess.run(
        [*_PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def _run(data: Path, workspace: Path, settings: tuple[str, ...]) -> list[object]:
    options = [part for setting in (*QUICK, *settings) for part in ("--set", setting)]
    return ["run", "--data", data, "--workspace", workspace, "--tag", "quick", *options]


def start_crackgate(data: Path, workspace: Path, *settings: str) -> "subprocess.Popen[str]":
    """Starts what `run_crackgate` runs; all that it says comes out of its `stdout`."""
    command = [*_PROGRAM, *map(str, _run(data, workspace, settings))]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_crackgate(data: Path, workspace: Path, *settings: str, cwd: Path | None = None) -> Run:
    """Runs the pipeline with the quick settings and `settings` over them, with the tag "quick".

    A run with `cwd` is started as a user starts it, with the sources there; others are forked, ten seconds less each.
    """
    before = set(workspace.glob("runs/*"))
    arguments = _run(data, workspace, settings)
    if cwd is None:
        exit_code, output = _fork(arguments)
    else:
        finished = crackgate(*arguments, cwd=cwd)
        exit_code, output = finished.returncode, finished.stdout + finished.stderr
    new_runs = set(workspace.glob("runs/*")) - before
    assert len(new_runs) == 1, output
    summary = json.loads((new_runs.pop() / "summary.json").read_text())
    assert summary["exit_code"] == exit_code, output
    return Run(exit_code, output, summary)


def _fork(arguments: list[object]) -> tuple[int | None, str]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crackgate_cli.main", "pipeline.local_runner"])
    with tempfile.NamedTemporaryFile() as output:
        process = context.Process(target=_main, args=(list(map(str, arguments)), dict(os.environ), output.name))
        process.start()
        process.join(timeout=600)
        exit_code = process.exitcode
        process.kill()
        return exit_code, Path(output.name).read_text(encoding="utf-8")


def _main(arguments: list[str], environment: dict[str, str], output: str) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(environment, COLUMNS="200")
    os.chdir(PROJECT)
    sys.argv[1:] = arguments
    from crackgate_cli.main import main

    main()
