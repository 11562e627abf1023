"""A task that needs no TensorFlow does not import it, and does its work all the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.compiled_node import CLASSES, make_options

PROJECT = Path(__file__).resolve().parents[3]
TASK = """
import json, sys
from kubeflow.task.imports import import_launcher
import_launcher("CuratedSchema")
from kubeflow.task.node import run_and_describe
from kubeflow.task.parameters import RunParameters
options = json.load(open(sys.argv[1]))
run = RunParameters(options["workspace"], options["data"], "serving")
print(run_and_describe(options["node"], options["ir"], options["sources"], "the-run", run))
import components.data_gate.executor, kubeflow.task.verdict
assert "tensorflow" not in sys.modules
"""


def test_the_schema_is_written_without_tensorflow(tmp_path: Path) -> None:
    import tensorflow_data_validation as tfdv

    from components.curated_schema.executor import build_schema
    from crackgate.config.schema import SchemaOptions

    (tmp_path / "options.json").write_text(json.dumps(make_options(tmp_path)))
    ran = subprocess.run(
        [sys.executable, "-c", TASK, tmp_path / "options.json"],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "MLMD_SQLITE_FILE": str(tmp_path / "metadata.db")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0 and "CuratedSchema: complete" in ran.stdout, ran.stdout + ran.stderr
    (file,) = tmp_path.rglob("schema.pbtxt")
    assert tfdv.load_schema_text(str(file)) == build_schema(CLASSES, SchemaOptions())
