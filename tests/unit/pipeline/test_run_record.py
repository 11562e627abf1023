"""However a run ends, its summary says why."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace
from pipeline.progress import ComponentEvents
from pipeline.request import RunRequest
from pipeline.run_record import record_run

CLASSES = ["Negative", "Positive"]


def _fail(_summary: Summary, events: ComponentEvents) -> None:
    with events.timed("starting TFX"):
        raise RuntimeError("the metadata are no database")


def _be_terminated(_summary: Summary, events: ComponentEvents) -> None:
    with events.timed("starting TFX"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except KeyboardInterrupt as error:
            raise RuntimeError("as Beam does") from error


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (_fail, "starting TFX: RuntimeError: the metadata are no database"),
        (_be_terminated, "interrupted during starting TFX"),
    ],
    ids=["error", "SIGTERM"],
)
def test_an_ending_without_a_verdict_has_its_reason(
    tmp_path: Path, work: Callable[[Summary, ComponentEvents], None], reason: str
) -> None:
    summary = record_run(_request(tmp_path), CLASSES, PositiveClasses(), work)
    assert (summary.verdict, summary.exit_code, summary.reasons) == ("failed", 1, [reason])
    (file,) = tmp_path.glob(f"workspace/runs/*/{SUMMARY_FILE}")
    assert Summary.model_validate_json(file.read_text()).reasons == [reason]


def test_a_wrong_configuration_is_recorded_and_stays_one(tmp_path: Path) -> None:
    def refuse(_summary: Summary, _events: ComponentEvents) -> None:
        raise ConfigError("gate.min_recall: received 2")

    with pytest.raises(ConfigError, match="received 2"):
        record_run(_request(tmp_path), CLASSES, PositiveClasses(), refuse)
    (file,) = tmp_path.glob(f"workspace/runs/*/{SUMMARY_FILE}")
    assert Summary.model_validate_json(file.read_text()).reasons == ["gate.min_recall: received 2"]


def test_a_run_keeps_its_configuration_for_the_next_one(tmp_path: Path) -> None:
    config = load_config(None, ["gate.min_recall=0.99", 'data.classes=["Negative", "Positive"]'])
    summary = record_run(_request(tmp_path, config), CLASSES, PositiveClasses(), _fail)
    assert load_config(Path(summary.outputs["config"])) == config


def _request(folder: Path, config: Config | None = None) -> RunRequest:
    return RunRequest(Console(quiet=True), folder, config or Config(), Workspace(folder / "workspace"))
