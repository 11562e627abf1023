"""Which class is positive, by name or by configuration, and what is refused before a run."""

from pathlib import Path

import pytest
from rich.console import Console

from crackgate.config.configuration import ConfigError, load_config
from crackgate.model.positive_class import resolve_positive_class
from crackgate.runs.workspace import Workspace
from pipeline.request import RunRequest
from pipeline.run import run_pipeline


@pytest.mark.parametrize("name", ["Positive", "positive", "Crack", "cracks", "CRACKED"])
def test_the_usual_names_are_understood(name: str) -> None:
    assert resolve_positive_class("", ["Apple", name]) == name


@pytest.mark.parametrize("name", ["uncracked", "no crack", "Positively not", "crackle", "CD"])
def test_other_names_are_not_guessed_at(name: str) -> None:
    assert resolve_positive_class("", ["Apple", name]) is None


def test_what_is_configured_wins() -> None:
    assert resolve_positive_class("Spall", ["Crack", "Positive", "Spall"]) == "Spall"


def test_two_likely_names_are_a_question_to_the_user() -> None:
    with pytest.raises(ValueError, match=r"'Crack' and 'positive' could each be meant.*allowed are 'Crack', 'Sound'"):
        resolve_positive_class("", ["Crack", "Sound", "positive"])


def test_a_class_that_does_not_exist_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for name in ("Negative", "Positive"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").touch()
    config = load_config(None, ["train.positive_class=crack"])
    message = r"train\.positive_class: received 'crack', which is no class; allowed are 'Negative', 'Positive'"
    with pytest.raises(ConfigError, match=message):
        run_pipeline(RunRequest(Console(), tmp_path / "data", config, Workspace(tmp_path / "workspace")))
    assert not (tmp_path / "workspace").exists()
