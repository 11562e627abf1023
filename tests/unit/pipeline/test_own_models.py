"""Models of a user's own are refused before a run begins."""

from pathlib import Path

import pytest

from crackgate.config.configuration import ConfigError, load_config
from pipeline.preconditions import check_own_code, check_own_models
from tests.helpers.own_models import write_own_models


def test_a_run_refuses_a_model_that_it_could_not_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own_models(tmp_path, "own_of_run")
    monkeypatch.chdir(tmp_path)
    for settings, said in (
        (["train.backbone=own_of_run:pooled"], r"train\.backbone: 'own_of_run:pooled' returned a model with outputs"),
        (["train.augmentation=own_of_run:normalises"], r"train\.augmentation: 'own_of_run:normalises' returned"),
        (
            ["train.backbone=own_of_nobody:build"],
            r"train\.backbone: .* no module 'own_of_nobody' in the current folder",
        ),
    ):
        with pytest.raises(ConfigError, match=said):
            check_own_models(load_config(None, settings))
    good = ["train.backbone=own_of_run:build", "train.augmentation=own_of_run:flips", "train.image_size=32"]
    check_own_models(load_config(None, good))
    check_own_models(load_config())


def test_a_compilation_needs_the_source_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_compiled.py").write_text("raise ImportError('not on this machine')\n", encoding="utf-8")
    check_own_code(load_config(None, ["train.backbone=own_compiled:build"]))
    with pytest.raises(ConfigError, match="no module 'own_absent'"):
        check_own_code(load_config(None, ["train.backbone=own_absent:build"]))
