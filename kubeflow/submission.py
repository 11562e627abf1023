"""Starts a run on a cluster, and follows it to its outcome."""

import time
from dataclasses import dataclass
from pathlib import Path

import kfp
import yaml

from kubeflow.compile.backend_checks import check_file
from kubeflow.connection import Caller, connect, describe_refusal, is_refusal
from kubeflow.outcome import RunOutcome, is_settled, read_outcome

# Seconds between two looks at a run, and seconds that the API may be silent.
_INTERVAL = 5.0
_UNANSWERED = 300.0
# Seconds by which the states of the tasks may follow that of the run.
_BEHIND = 60.0
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclass(frozen=True)
class Submission:
    """A run on a cluster: `url` shows it in the user interface, `tasks` are those of the compiled pipeline by name."""

    run_id: str
    url: str
    tasks: tuple[str, ...]


class SubmissionError(Exception):
    """The run could not be started or followed."""


def submit(
    host: str,
    file: Path,
    namespace: str | None,
    experiment: str | None,
    run_name: str | None,
    parameters: dict[str, str],
    caller: Caller,
) -> tuple[kfp.Client, Submission]:
    """Uploads the compiled pipeline as a run on the API's URL `host`; None stands for Kubeflow's default.

    Raises:
        CallerError: The token or the cookies cannot be sent.
        ConnectionToKubeflowError: The API cannot be reached, or does not know who asks.
        SubmissionError: The API refused the run.
        BackendRefusalError: It would refuse the run.
    """
    check_file(file)
    client = connect(host, namespace, caller)
    try:
        started = client.create_run_from_pipeline_package(
            str(file),
            arguments=parameters,
            run_name=run_name,
            experiment_name=experiment,
            namespace=namespace,
        )
    except Exception as error:  # kfp lets through what urllib3 and its generated client raise
        raise SubmissionError(f"the run was not taken: {describe_refusal(error, host, namespace)}") from error
    return client, Submission(started.run_id, f"{host.rstrip('/')}/#/runs/details/{started.run_id}", _tasks_of(file))


def _tasks_of(file: Path) -> tuple[str, ...]:
    documents = yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    specification = next(document for document in documents if "pipelineInfo" in document)
    components = specification["components"]
    dags = [each["dag"] for each in (*components.values(), specification["root"]) if "dag" in each]
    tasks = [(name, task["componentRef"]["name"]) for dag in dags for name, task in dag["tasks"].items()]
    return tuple(name for name, component in tasks if "executorLabel" in components[component])


def follow(client: kfp.Client, submission: Submission, timeout: float) -> RunOutcome:
    """Waits up to `timeout` seconds for the end of the run that `submit` started.

    It raises SubmissionError if the run does not end in time or the API goes away; the run goes on.
    """
    # kfp's own wait knows no cancelled runs, and gives up at the first hiccup of the connection.
    deadline, unanswered_since, ended = time.monotonic() + timeout, None, None
    while True:
        try:
            run = client.get_run(submission.run_id)
            unanswered_since = None
        except Exception as error:
            unanswered_since = unanswered_since or time.monotonic()
            if is_refusal(error) or time.monotonic() - unanswered_since > _UNANSWERED:
                reason = describe_refusal(error, submission.url.partition("/#")[0], None)
                raise SubmissionError(f"lost sight of the run {submission.run_id}, which goes on: {reason}") from error
        else:
            if run.state in _ENDED:
                tasks = (run.run_details.task_details if run.run_details else None) or []
                ended = ended or time.monotonic()
                if run.state == "CANCELED" or is_settled(tasks) or time.monotonic() - ended > _BEHIND:
                    return read_outcome(run.state, tasks, submission.tasks)
        if ended is None and time.monotonic() + _INTERVAL > deadline:
            raise SubmissionError(f"the run {submission.run_id} has not ended within {timeout:g} s; it goes on")
        time.sleep(_INTERVAL)
