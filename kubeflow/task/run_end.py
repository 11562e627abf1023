"""The end of a run, which Kubeflow's Retry does not undo: it repeats failed tasks, and keeps a successful report."""

from crackgate.contracts.verdict import Verdict
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace


class RunEndedError(Exception):
    """The run has a verdict, so no task of it works any more."""


def check_not_ended(workspace: Workspace, run_id: str) -> None:
    """Raises RunEndedError where the run's report has told a verdict; after a run that broke down, tasks go on."""
    file = workspace.runs / run_id / SUMMARY_FILE
    if not file.is_file():
        return
    summary = Summary.model_validate_json(file.read_bytes())
    if summary.verdict != Verdict.FAILED:
        raise RunEndedError(
            f"the run {run_id} has ended ({summary.headline}), and a retry would not change its report: submit the "
            "pipeline once more, whose cache takes over what was done"
        )
