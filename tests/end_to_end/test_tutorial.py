"""The tutorial notebook runs from its first cell to its last."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.command import PROJECT


def test_the_tutorial_runs(tmp_path: Path) -> None:
    notebook = json.loads((PROJECT / "docs/tutorial.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # Each cell by itself, as Jupyter runs it: a %%bash has to be the first line of its cell.
    script = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()\n"
    )
    script += f"for cell in {cells!r}:\n    if not shell.run_cell(cell).success:\n        sys.exit(1)\n"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "released" in finished.stdout
    rows = [line for line in finished.stdout.splitlines() if line.startswith("photographs/") and "unfamiliar:" in line]
    assert len(rows) == 8
    assert (tmp_path / "inspected/index.html").is_file()
