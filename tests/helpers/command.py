"""The command line, started as a user starts it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
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

    exit_code: int
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
        [sys.executable, "-c", "from crackgate_cli.main import main; main()", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def run_crackgate(data: Path, workspace: Path, *settings: str, cwd: Path = PROJECT) -> Run:
    """Runs the pipeline with the quick settings and `settings` over them, with the tag "quick"."""
    options = [part for setting in (*QUICK, *settings) for part in ("--set", setting)]
    before = set(workspace.glob("runs/*"))
    finished = crackgate("run", "--data", data, "--workspace", workspace, "--tag", "quick", *options, cwd=cwd)
    new_runs = set(workspace.glob("runs/*")) - before
    assert len(new_runs) == 1, finished.stdout + finished.stderr
    summary = json.loads((new_runs.pop() / "summary.json").read_text())
    assert summary["exit_code"] == finished.returncode, finished.stdout + finished.stderr
    return Run(finished.returncode, finished.stdout + finished.stderr, summary)
