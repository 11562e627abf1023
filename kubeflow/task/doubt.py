"""Doubt in a verdict: a task of the run may have been killed at any moment, even after it had done its work."""

from crackgate.contracts.verdict import EXIT_CODES, Verdict
from kubeflow.task.names import VERDICT, task_name
from kubeflow.task.node_record import NodeRecord

# The state of the tasks before the exit handler, as KFP's driver reads it from its own store, when all went well. It is
# FAILED when one said so, and RUNNING when one was killed.
ALL_SUCCEEDED = "COMPLETE"


def find_doubt(found: Verdict, record: NodeRecord | None, state: str) -> str:
    """Returns what speaks against the verdict that the nodes' work leads to; "" if nothing does.

    Args:
        found: The verdict, which is not FAILED.
        record: What the task `verdict` left, if it began.
        state: Kubeflow's own state of the tasks before the exit handler.
    """
    task = task_name(VERDICT)
    if found == Verdict.DATA_REJECTED:
        if record is not None:
            return f"the task {task!r} ran, which follows only nodes that went well"
    elif record is None:
        return f"the task {task!r} left no record: its pod was never made, or could not write to the workspace"
    elif record.is_broken:
        return record.say_break()
    elif record.verdict is None or EXIT_CODES[record.verdict] != EXIT_CODES[found]:
        return (
            f"the task {task!r} found '{record.verdict}': the serving directory or ML Metadata has changed in between"
        )
    if (EXIT_CODES[found] == 0) != (state == ALL_SUCCEEDED):
        return f"Kubeflow's state of the tasks is {state!r}: one was stopped after it had done its work"
    return ""
