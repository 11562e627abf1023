"""URLs on the command line: refused in one line, before anything starts, where only a path will do."""

import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.core
from typer.testing import CliRunner

from crackgate_cli.main import app
from tests.helpers.command import crackgate


def _commands(command: typer.core.TyperCommand, *names: str) -> Iterator[tuple[list[str], typer.core.TyperCommand]]:
    if not hasattr(command, "commands") or command.invoke_without_command:
        yield list(names), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, *names, name)


def _value(annotation: Any) -> str:
    return next(iter(annotation)).value if isinstance(annotation, type) and issubclass(annotation, Enum) else "1"


def _with_a_url(path: str) -> Iterator[tuple[str, list[str]]]:
    """Each parameter of the type Path, and a call that gives it a URL; its other values are of the right type."""
    for names, command in _commands(typer.main.get_command(app)):
        given = {each: _value(each.type_descriptor.annotation) for each in command.params if each.required}
        for parameter in command.params:
            if parameter.type_descriptor.annotation is Path:
                arguments = [
                    part
                    for each, value in (given | {parameter: path}).items()
                    for part in ([each.opts[0], value] if each.opts[0].startswith("-") else [value])
                ]
                yield f"{' '.join(names)} {parameter.opts[0]}", [*names, *arguments]


CALLS = dict(_with_a_url("gs://bucket/folder"))


def test_many_parameters_are_paths() -> None:
    assert {
        "run --workspace",
        "serve --workspace",
        "predict --output",
        "kubeflow compile --output",
        "runs --html",
    } <= CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_url_in_place_of_a_path_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner(env={"COLUMNS": "1000"}).invoke(app, CALLS[name])
    assert result.exit_code == 2, result.output
    assert "'gs://bucket/folder'; allowed is a path" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["train.weights", "release.signing_key", "release.public_key"])
def test_so_are_urls_of_files_in_the_configuration(field: str) -> None:
    result = CliRunner(env={"COLUMNS": "1000"}).invoke(
        app, ["run", "--data", ".", "--set", f"{field}=s3://bucket/file"]
    )
    assert result.exit_code == 2 and f"{field}: received 's3://bucket/file': allowed is a path" in result.output


def test_no_answer_and_no_such_scheme_are_one_line_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens at the discard port.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    began = time.monotonic()
    finished = crackgate("run", "--data", "s3://bucket/prefix", "--workspace", tmp_path / "w")
    assert time.monotonic() - began < 30
    assert finished.returncode == 2 and finished.stderr.count("\n") == 1, finished.stderr
    assert (
        "--data: cannot list 's3://bucket/prefix'" in finished.stderr and "check the store's address" in finished.stderr
    )
    wrong = CliRunner(env={"COLUMNS": "1000"}).invoke(app, ["run", "--data", "http://host/prefix"])
    assert wrong.exit_code == 2 and "--data: received 'http://host/prefix'; allowed are a path, s3://" in wrong.output
