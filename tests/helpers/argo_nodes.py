"""The tasks of a run as KFP's API (v2beta1) lists them: one for each node of Argo's workflow, by its display name.

It follows the API server of KFP 2.14 to 2.17, which maps Argo's phases to states: "Error" (a deleted pod) is FAILED,
and what the server does not know, "Omitted" above all, is RUNTIME_STATE_UNSPECIFIED.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

# Of a pipeline, in an order in which one task may follow the other.
TASKS = (
    "image-example-gen",
    "curated-schema",
    "statistics-gen",
    "example-validator",
    "data-page",
    "data-gate",
    "released-statistics-resolver",
    "drift-check",
    "leak-check",
    "trainer",
    "baseline-resolver",
    "evaluator",
    "serving-check",
    "pusher",
    "verdict",
)
# Those that run once; the others are tried three times.
_ONCE = {"image-example-gen", "data-gate", "drift-check", "leak-check", "verdict"}
SUCCEEDED, FAILED, SKIPPED, RUNNING, NEVER = "SUCCEEDED", "FAILED", "SKIPPED", "RUNNING", "RUNTIME_STATE_UNSPECIFIED"
_NO_TIME = "0001-01-01T00:00:00Z"


class Fate(StrEnum):
    """How a task ends."""

    WELL = "well"
    DRIVER_FAILED = "its driver failed"
    EXITED = "its main container exited with an error"
    KILLED = "it was killed for its memory"
    EVICTED = "it was evicted"
    DELETED = "its pod was deleted"
    CACHED = "KFP took it over from its cache"
    RUNNING = "it runs"
    OMITTED = "it was never begun"


def task_details(fates: Mapping[str, Fate], report: Fate = Fate.WELL) -> list[dict[str, Any]]:
    """The details of a run whose tasks end well but for `fates`; all others that follow a failed one are omitted."""
    nodes = [("crackgate-x7k2p", ""), ("root-driver", SUCCEEDED), ("root", "")]
    nodes += [("exit-handler-1-driver", SUCCEEDED), ("exit-handler-1", "")]
    failed = False
    for name in TASKS:
        fate = fates.get(name, Fate.OMITTED if failed else Fate.WELL)
        nodes += _nodes_of(name, fate)
        failed = failed or fate not in (Fate.WELL, Fate.CACHED)
    nodes += [("exit-handler-1.onExit", FAILED if report not in (Fate.WELL, Fate.CACHED) else SUCCEEDED)]
    nodes += _nodes_of("report", report)
    whole = FAILED if failed else SUCCEEDED
    return [_detail(number, name, state or whole) for number, (name, state) in enumerate(nodes)]


def _nodes_of(name: str, fate: Fate) -> Iterable[tuple[str, str]]:
    if fate in (Fate.DRIVER_FAILED, Fate.OMITTED):
        return [(f"{name}-driver", FAILED if fate == Fate.DRIVER_FAILED else NEVER), (name, NEVER)]
    if fate == Fate.CACHED:
        return [(f"{name}-driver", SUCCEEDED), (name, SUCCEEDED), ("executor", SKIPPED)]
    state = {Fate.WELL: SUCCEEDED, Fate.RUNNING: RUNNING}.get(fate, FAILED)
    nodes = [(f"{name}-driver", SUCCEEDED), (name, state), ("executor", state)]
    if name not in _ONCE:
        # Argo's policy "OnFailure" tries an error, which a deleted pod is, no second time.
        attempts = 3 if fate in (Fate.EXITED, Fate.KILLED, Fate.EVICTED) else 1
        nodes += [(f"executor({number})", state) for number in range(attempts)]
    return nodes


def _detail(number: int, name: str, state: str) -> dict[str, Any]:
    ended = _NO_TIME if state == RUNNING else "2026-03-02T10:15:00Z"
    return {
        "run_id": "6c4b0b70-7b0e-4c5b-9d43-1ce5b1f2a7a1",
        "task_id": f"00000000-0000-4000-8000-{number:012}",
        "display_name": name,
        "create_time": "2026-03-02T10:00:00Z",
        "start_time": "2026-03-02T10:00:05Z",
        "end_time": ended,
        "state": state,
        "state_history": [{"update_time": "2026-03-02T10:15:02Z", "state": state}],
        "child_tasks": [],
    }
