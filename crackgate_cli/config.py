"""`crackgate config`: the configuration, shown, started and checked without a run."""

import importlib.metadata
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from crackgate.atomic_files import write_text
from crackgate.config.configuration import Config, ConfigError, load_given
from crackgate.config.document import say_value, write_document
from crackgate.config.reference import read_sections
from crackgate.data_set.plausibility import describe_lack
from crackgate.gate.rules import gate_rules
from crackgate.runs.workspace import Workspace
from crackgate_cli.local_paths import LocalPathsTyper
from crackgate_cli.options import (
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    SetOption,
    WorkspaceOption,
    complain,
    data_location,
    fail,
    tell,
)
from pipeline.preconditions import (
    check_keys,
    check_own_code,
    check_released_classes,
    check_weights,
    find_positive_classes,
    resolve_data_set,
)

config_app = LocalPathsTyper(no_args_is_help=True, help="Show, start or check a configuration, without a run.")


@config_app.command()
def show(config: ConfigOption = None, assignments: SetOption = None, as_json: JsonOption = False) -> None:
    """Print every field with its value and who set it. Meaning, unit, bounds and default stand beside it."""
    try:
        settings, given = load_given(config, assignments)
    except ConfigError as error:
        _refuse(error)
    if as_json:
        fields = [field for section in read_sections(settings) for field in section.fields]
        print(json.dumps([{**asdict(field), "origin": given.origin(field.name)} for field in fields], indent=2))
        return
    heading = f"The effective configuration of crackgate {_version()}, with the origin of each value."
    print(write_document(settings, heading, lambda field: given.origin(field.name)), end="")


@config_app.command()
def init(
    file: Annotated[Path, typer.Argument(help="File to write, TOML; it must not exist.")] = Path("crackgate.toml"),
) -> None:
    """Write a configuration to start from. Every field has its default, meaning, unit and bounds."""
    if file.exists() or not file.parent.is_dir():
        problem = "exists" if file.exists() else f"lies in {str(file.parent)!r}, which is no folder"
        fail(f"{str(file)!r} {problem}: give the name of a new file in a folder that exists", EXIT_USAGE)
    heading = (
        f"The configuration of crackgate {_version()}. Every field has its default: keep the lines that you change."
    )
    try:
        write_text(file, write_document(Config(), heading))
    except OSError as error:
        fail(f"cannot write {str(file)!r}: {error.strerror}", EXIT_USAGE)
    print(f"{file}: change it, then 'crackgate config check --config {file}', and give it to 'crackgate run'")


@config_app.command()
def check(
    config: ConfigOption = None,
    assignments: SetOption = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Data to hold it against: its layout, classes and labels.")
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Check a configuration, and a data folder, without a run. It prints all errors, or what is not at its default."""
    try:
        settings, given = load_given(config, assignments)
        found = None
        problems: list[str] = []
        if data is not None:
            try:
                found = resolve_data_set(data_location(data), settings)
                if lack := describe_lack(found):
                    problems.append(f"--data {data!r}: {lack}")
            except ConfigError as error:
                problems += error.args
        classes = found.classes if found else list(dict.fromkeys(settings.data.class_of_folder.values()))
        problems += _problems(settings, Workspace(workspace.resolve()), classes)
        if problems:
            raise ConfigError(*problems)
    except ConfigError as error:
        _refuse(error)
    changed = [
        f"{field.name} = {say_value(field.value)}  ({given.origin(field.name)}; default {say_value(field.default)})"
        for section in read_sections(settings)
        for field in section.fields
        if field.value != field.default
    ]
    print(f"{config or 'the configuration'} is valid", *(changed or ["every field has its default"]), sep="\n  ")
    if found is not None:
        counts = Counter(image.class_name for image in found.images)
        print(f"{data}: files by class: {', '.join(f'{name!r} {count}' for name, count in sorted(counts.items()))}")
        for note in found.notes:
            tell(f"warning {note}")


def _problems(settings: Config, place: Workspace, classes: list[str]) -> Iterator[str]:
    """Problems that a run would refuse before it reads images; without classes, those that do not depend on them."""
    checks = [
        lambda: check_weights(settings),
        lambda: check_own_code(settings),
        lambda: check_keys(place.serving, settings.release),
    ]
    if classes:
        checks += [
            lambda: check_released_classes(place.serving, classes, settings),
            lambda: _check_classes(settings, classes),
        ]
    for each in checks:
        try:
            each()
        except ConfigError as error:
            yield str(error)


def _check_classes(settings: Config, classes: list[str]) -> None:
    positive = find_positive_classes(settings, classes)
    gate_rules(classes, positive.names, settings.gate)


def _refuse(error: ConfigError) -> NoReturn:
    for problem in error.args:
        complain(problem)
    raise typer.Exit(EXIT_USAGE)


def _version() -> str:
    return importlib.metadata.version("crackgate")
