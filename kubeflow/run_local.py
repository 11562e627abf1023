"""Runs a compiled pipeline on this machine with kfp's local runner, one process per task."""

import copy
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kfp import components, dsl, local

from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace
from crackgate.storage.location import Location
from kubeflow.task.doubt import ALL_SUCCEEDED
from kubeflow.task.metadata_store import HOST, SQLITE_FILE
from kubeflow.task.names import REPORT, task_name
from kubeflow.task.parameters import RunParameters

_PROJECT = Path(__file__).resolve().parents[1]


class LocalRunError(Exception):
    """The run ended without a summary."""


def run_on_this_machine(file: Path, data: Location, workspace: Workspace, serving: Path) -> Summary:
    """Runs the tasks one after the other and returns the outcome of the run.

    The environment names the metadata store (`MLMD_HOST`, ...); without it the workspace's own serves. `data` and
    `serving` are absolute, `data` may be a URL; `serving` receives `<version>/`.

    Raises:
        LocalRunError: Not even the report could be made.
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
        WorkspaceUnusableError: The workspace cannot be written to.
    """
    with workspace.locked() as warning:
        if warning:
            print(f"warning: {warning}")
        folder = workspace.create_run_folder()
        parameters = RunParameters(str(workspace.root), str(data), str(serving))
        # kfp.local numbers its runs at random, and differently for what runs after a failure.
        specification = _replaced(_read_specification(file), dsl.PIPELINE_JOB_ID_PLACEHOLDER, folder.name)
        with _environment(workspace):
            local.init(
                local.SubprocessRunner(use_venv=False),
                pipeline_root=str(workspace.root / "kfp"),
                raise_on_error=False,
            )
            # kfp.local runs the exit handler only when all went well, and knows no PipelineTaskFinalStatus.
            _run(_with_state(specification, ALL_SUCCEEDED), parameters)
            if not (folder / SUMMARY_FILE).is_file():
                # kfp.local ends with the first task that fails, before the exit handler, which Kubeflow always runs.
                print(f"The exit handler {task_name(REPORT)!r} runs by itself, since kfp.local has left it out:")
                _run(_report_alone(_with_state(specification, "FAILED")), parameters)
    summary = folder / SUMMARY_FILE
    if not summary.is_file():
        raise LocalRunError(
            f"the run {folder.name} ended without {str(summary)!r}: its task {task_name(REPORT)!r} failed; see above"
        )
    return Summary.model_validate_json(summary.read_bytes())


def _read_specification(file: Path) -> dict[str, Any]:
    specification: dict[str, Any] = next(yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    return specification


def _run(specification: dict[str, Any], parameters: RunParameters) -> None:
    with warnings.catch_warnings():
        # The tasks' image holds what runs here: each task checks its sources.
        warnings.filterwarnings("ignore", "You may be attemping to run a task that uses custom", RuntimeWarning)
        # The run's outcome is read from its files; kfp.local has written the tasks' logs.
        components.load_component_from_text(yaml.safe_dump(specification))(
            workspace=parameters.workspace, data=parameters.data, serving=parameters.serving
        )


def _with_state(specification: dict[str, Any], state: str) -> dict[str, Any]:
    """Returns the pipeline with this state of the tasks as a constant that the exit handler gets."""
    told = copy.deepcopy(specification)
    task = told["root"]["dag"]["tasks"][task_name(REPORT)]
    declared = told["components"][task["componentRef"]["name"]]["inputDefinitions"]["parameters"]
    for name, given in task["inputs"]["parameters"].items():
        if "taskFinalStatus" in given:
            declared[name] = {"parameterType": "STRUCT"}
            task["inputs"]["parameters"][name] = {"runtimeValue": {"constant": {"state": state}}}
    return told


def _report_alone(specification: dict[str, Any]) -> dict[str, Any]:
    """Returns the same pipeline with its exit handler as the only task."""
    alone = copy.deepcopy(specification)
    name = task_name(REPORT)
    # The success of this task must not look like the pipeline's.
    alone["pipelineInfo"]["name"] += f"-{name}"
    task = alone["root"]["dag"]["tasks"][name]
    task.pop("dependentTasks", None)
    task.pop("triggerPolicy", None)
    alone["root"]["dag"]["tasks"] = {name: task}
    component = task["componentRef"]["name"]
    alone["components"] = {component: alone["components"][component]}
    return alone


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, old, new) for each in value]
    return value.replace(old, new) if isinstance(value, str) else value


@contextmanager
def _environment(workspace: Workspace) -> Iterator[None]:
    """Sets the metadata store and the running sources for the tasks' processes."""
    before = dict(os.environ)
    if not os.environ.get(HOST):
        os.environ[SQLITE_FILE] = str(workspace.metadata_file)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH", ""))))
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
