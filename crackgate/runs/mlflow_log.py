"""A run's record in MLflow, for who keeps runs there: parameters, metrics, epochs, report, and where the model lies."""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crackgate.config.configuration import flatten
from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.contracts.verdict import Verdict
from crackgate.gate.wording import say_metric
from crackgate.report.content import Training
from crackgate.runs.notes import RunNotes
from crackgate.runs.summary import SUMMARY_FILE, Summary

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

log = logging.getLogger("crackgate")

# Stores that MLflow has; a database's may name its driver, as in mysql+pymysql.
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks")
EXPERIMENT = "crackgate"
# Without it, MLflow's page shows the runs among evaluations of language models.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
# MLflow's variable for another one.
_EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
_FILES = ("report", "report_json", "gates", "model_card", "label_list")
# MLflow's limits: characters of a parameter's and a tag's value, entries of one request.
_LONGEST_PARAMETER, _LONGEST_TAG, _BATCH = 6_000, 8_000, 100
# A server that is down costs a minute at most. The first asks MLflow not to report how it is used.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class MlflowError(Exception):
    """Runs cannot be logged as asked; the message says what to do."""


def check_mlflow(uri: str) -> None:
    """Raises MlflowError, before a run, where MLflow is not installed or has no such kind of store."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if not uri.strip() or (scheme and scheme not in _SCHEMES):
        raise MlflowError(
            f"--mlflow: received {hide_password(uri)!r}; give the tracking server's address, such as "
            f"http://localhost:5000 or sqlite:///mlflow.db; the schemes are {', '.join(_SCHEMES)}"
        )
    if importlib.util.find_spec("mlflow") is None:
        raise MlflowError("--mlflow needs MLflow's client: pip install 'crackgate[mlflow]', or leave the option out")


def hide_password(uri: str) -> str:
    """The address, or a text with it, without a user's name and password, which may hold an @ of its own.

    A query goes, too: databases take a password there.
    """
    return re.sub(r"(//[^?\s]*)\?\S+", r"\1?...", re.sub(r"//[^/\s]*@", "//", uri))


def log_run(uri: str, summary: Summary, notes: RunNotes, folder: Path) -> str:
    """Logs a concluded run whose files lie in `folder`, and returns MLflow's id of it.

    The experiment is `EXPERIMENT`, or that of MLflow's own variable MLFLOW_EXPERIMENT_NAME. The model stays where it
    is: tags name its folder and version. Raises whatever MLflow raises, such as for a server that is down.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It takes seconds.
    from mlflow import MlflowClient
    from mlflow.entities import Param

    # Not before: the import sets them.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient(uri, registry_uri=uri)
    began = int(datetime.fromisoformat(summary.started).timestamp() * 1000)
    ended = began + int(summary.seconds * 1000)
    tags = {name: value[:_LONGEST_TAG] for name, value in _tags(summary, notes).items()}
    run = client.create_run(_experiment(client), began, tags, run_name=notes.name or summary.run_id).info.run_id
    status = "FAILED"
    try:
        parameters = [Param(name, value[:_LONGEST_PARAMETER]) for name, value in _parameters(summary)]
        for start in range(0, len(parameters), _BATCH):
            client.log_batch(run, params=parameters[start : start + _BATCH])
        metrics = [*_metrics(summary, ended), *_epochs(summary, ended)]
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run, metrics=metrics[start : start + _BATCH])
        for file in (
            folder / SUMMARY_FILE,
            *(Path(summary.outputs[name]) for name in _FILES if name in summary.outputs),
        ):
            if file.is_file():
                client.log_artifact(run, str(file))
        status = "FAILED" if summary.verdict == Verdict.FAILED else "FINISHED"
    finally:
        client.set_terminated(run, status, ended)
    return str(run)


def _experiment(client: "MlflowClient") -> str:
    name = os.environ.get(_EXPERIMENT_VARIABLE) or EXPERIMENT
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name, tags=_EXPERIMENT_TAGS))


def _tags(summary: Summary, notes: RunNotes) -> dict[str, str]:
    fingerprint = {"crackgate.data_fingerprint": summary.images.fingerprint} if summary.images.fingerprint else {}
    model = {"crackgate.model": summary.pushed_to, "crackgate.version": summary.pushed_version}
    return {
        "crackgate.run_id": summary.run_id,
        "crackgate.verdict": str(summary.verdict),
        "crackgate.crackgate_version": summary.crackgate_version,
        "crackgate.data": summary.data,
        **fingerprint,
        **({"crackgate.tags": ", ".join(notes.tags)} if notes.tags else {}),
        **{name: str(value) for name, value in model.items() if value is not None},
        "mlflow.source.name": "crackgate",
        # The description of the run's page.
        "mlflow.note.content": "\n\n".join([summary.headline, *summary.reasons]),
    }


def _parameters(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "classes", ", ".join(summary.classes)
    for name, value in flatten(summary.config).items():
        yield _key(name), str(value)


def _metrics(summary: Summary, ended: int) -> Iterator["Metric"]:
    from mlflow.entities import Metric

    yield Metric("seconds", summary.seconds, ended, 0)
    slices = summary.evaluation.slices if summary.evaluation else []
    for found in (value for part in slices if part.name == ALL_IMAGES for value in part.metrics):
        name = _key(say_metric(*found.key))
        for key, value in ((name, found.value), (f"{name} low", found.low), (f"{name} high", found.high)):
            if value is not None:
                yield Metric(key, value, ended, 0)


def _epochs(summary: Summary, ended: int) -> Iterator["Metric"]:
    """Loss and accuracy by epoch, of both stages one after the other."""
    from mlflow.entities import Metric

    if (file := summary.outputs.get("history")) and Path(file).exists():
        training = Training.model_validate_json(Path(file).read_bytes())
        for name, values in training.head.items():
            for step, value in enumerate([*values, *training.fine_tune.get(name, [])], start=1):
                yield Metric(f"epoch {_key(name)}", value, ended, step)


def _key(name: str) -> str:
    """A name that MLflow takes; other characters, as in names of classes, are written out by their code points."""
    return re.sub(r"[^\w.\- :]", lambda found: f"_{ord(found[0]):x}_", name)[:250]
