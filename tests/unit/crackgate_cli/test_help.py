"""Every page of help, at 80 columns: flags are flags, nothing is cut or eaten, and an option has one name."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from crackgate_cli.main import app


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "crackgate")
def test_a_page_of_help_is_whole(path: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert ended.exit_code == 0 and max(map(len, ended.stdout.splitlines())) <= 80
    assert "<bool>" not in ended.stdout
    listed = ended.stdout.partition("\nCommands:\n")[2]
    assert "..." not in listed, "the first sentence of a command is at most 60 characters long"
    for option in COMMANDS[path].params:
        assert option.param_type_name == "argument" or option.help, option.name


def test_options_of_one_meaning_have_one_name_in_all_commands() -> None:
    names = defaultdict(set)
    for path, command in COMMANDS.items():
        for option in command.params:
            if option.param_type_name == "option" and path[:1] != ("kubeflow",):
                names[option.name].add("/".join(option.opts))
    assert {name: sorted(opts) for name, opts in names.items() if len(opts) > 1} == {}
    with_serving = {path for path, command in COMMANDS.items() if "serving" in {each.name for each in command.params}}
    with_workspace_and_model = {
        path
        for path, command in COMMANDS.items()
        if {"workspace", "model"} <= {each.name for each in command.params} and path != ("gate",)
    }
    assert with_workspace_and_model <= with_serving and {("versions",), ("rollback",)} <= with_serving


def test_brackets_in_help_and_errors_are_no_markup() -> None:
    said = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "80"}).stdout
    assert re.search(r"\[required\]", said)
    ended = CliRunner().invoke(app, ["config", "check", "--set", "[kubeflow]=1"])
    assert ended.exit_code == 2 and "'[kubeflow]=1'" in ended.stderr
