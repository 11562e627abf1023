"""`crackgate config`: shown with its origins, started from a file, checked without a run."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from crackgate.config.configuration import Config, load_config
from crackgate_cli.main import app


def call(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["config", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text("[gate]\nmin_recall = 0.9\nmin_auc = 0.9\n[schema]\nbrightness = { min = 20 }\n")
    return file


def test_show_says_who_set_each_field(site: Path) -> None:
    options = ("--config", site, "--set", "gate.min_auc=0.99", "--set", "kubeflow.nodes.Trainer.cpu=500m")
    fields = {field["name"]: field for field in json.loads(call("show", *options, "--json").stdout)}
    given = {name: field["origin"] for name, field in fields.items() if field["origin"] != "default"}
    assert given == {
        "gate.min_recall": "file",
        "schema.brightness.min": "file",
        "gate.min_auc": "--set",
        "kubeflow.nodes": "--set",
    }
    assert (fields["gate.min_auc"]["value"], fields["gate.min_auc"]["default"]) == (0.99, 0.95)
    assert "min_recall = 0.9  # file\n" in call("show", *options).stdout


def test_what_show_prints_is_that_configuration(site: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown.toml"
    shown.write_text(call("show", "--config", site).stdout)
    assert load_config(shown) == load_config(site) != Config()


def test_a_new_configuration_is_checked_and_holds_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    call("init", file)
    assert load_config(file) == Config()
    assert "every field has its default" in call("check", "--config", file).stdout
    assert "exists" in call("init", file, code=2).stderr and "is no folder" in call("init", file / "x", code=2).stderr


def test_check_says_what_differs_from_the_defaults(site: Path) -> None:
    said = call("check", "--config", site, "--set", "gate.min_auc=0.99").stdout
    assert "gate.min_recall = 0.9  (file; default 0.8)" in said
    assert "gate.min_auc = 0.99  (--set; default 0.95)" in said
    assert "schema.brightness.min = 20.0  (file; default 0.0)" in said and "max_accuracy_drop" not in said


def test_check_names_all_errors_at_once_each_on_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[gate]\nmin_recal = 0.9\nmin_auc = 2\n[trian]\nviews = 3\n")
    lines = call("check", "--config", file, "--set", "views=3", code=2).stderr.splitlines()
    assert len(lines) == 4 and all(line.startswith("error: ") for line in lines)
    said = "\n".join(lines)
    assert "received 'views=3'" in said and "gate.min_auc: received 2" in said
    assert "did you mean min_recall?" in said and "did you mean train?" in said


def test_check_finds_what_a_run_would_refuse_before_it_looks_at_images(tmp_path: Path) -> None:
    settings = ("train.weights=none.h5", "train.augmentation=nowhere:augment", f"release.signing_key={tmp_path / 'no'}")
    options = [part for setting in settings for part in ("--set", setting)]
    lines = call("check", *options, "--workspace", tmp_path, code=2).stderr.splitlines()
    for line, field in zip(lines, ("train.weights", "train.augmentation", "release.signing_key"), strict=True):
        assert line.startswith(f"error: {field}: ")


def test_check_holds_the_gate_against_the_classes_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the workspace in which `make run` may have released a model.
    monkeypatch.chdir(tmp_path)
    classes = ("--set", 'data.classes=["Sound", "Crack"]', "--set")
    call("check", *classes, 'gate.require=[{metric = "recall", label = "Crack", min = 0.9}]')
    said = call("check", *classes, 'gate.require=[{metric = "recall", label = "Carck", min = 0.9}]', code=2).stderr
    assert "Carck" in said and "Crack" in said


def test_check_holds_the_configuration_against_a_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "photographs"
    for name in ("Positive/1.jpg", "Positive/2.jpg", "Negative/1.jpg"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    assert "files by class: 'Negative' 1, 'Positive' 2" in call("check", "--data", data).stdout
    requirement = 'gate.require=[{metric = "recall", label = "Carck", min = 0.9}]'
    said = call("check", "--data", data, "--set", requirement, "--set", "train.weights=none.h5", code=2).stderr
    assert "Carck" in said and "Positive" in said and "train.weights" in said
    masks = tmp_path / "segmentation"
    for name in ("images/1.jpg", "masks/1.png"):
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        (masks / name).touch()
    assert "masks" in call("check", "--data", masks, code=2).stderr
    shutil.copytree(data / "Positive", tmp_path / "one" / "Positive")
    assert "one class, 'Positive' (2 files in all)" in call("check", "--data", tmp_path / "one", code=2).stderr
    assert "which is no folder" in call("check", "--data", tmp_path / "gone", code=2).stderr
