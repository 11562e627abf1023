"""`crackgate export`: a released model's network for other runtimes."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from crackgate.atomic_files import write_bytes
from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.contracts.card import NotAReleaseError, read_card
from crackgate.contracts.evaluation import ALL_IMAGES, Outcome, Requirement
from crackgate.gate.rules import Rule, gate_rules
from crackgate.gate.wording import say_requirement
from crackgate.plural import counted
from crackgate.runs.log_file import silence_output
from crackgate.storage.location import Location, below
from crackgate.storage.object_store import StorageError
from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    ConfigOption,
    ModelOption,
    PublicKeyOption,
    ServingOption,
    SetOption,
    WorkspaceOption,
    check_empty,
    check_outside,
    chosen_model,
    console_on_a_copy_of,
    data_location,
    fail,
    table_console,
)
from serving.export.errors import ConversionError, PhotographsError
from serving.export.runtimes import Runtime, missing_packages

if TYPE_CHECKING:
    from serving.export.export import Export
    from serving.export.photographs import Shares

EXIT_REFUSED = 3

_RECORD = "export.json"
_LONGEST_LIST = 5


def export(
    to: Annotated[Runtime, typer.Option(help="What is to run the network.")],
    data: Annotated[
        str,
        typer.Option(
            metavar="DIR|URL", help="Folder with one sub-folder of photographs per class; best some never trained on."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New or empty folder that receives the files and export.json.")
    ],
    workspace: WorkspaceOption = Path("workspace"),
    model: ModelOption = None,
    serving: ServingOption = None,
    public_key: PublicKeyOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Write a released network for another runtime. It is in float32, and in int8 where that passes the gate."""
    if missing := missing_packages(to):
        fail(
            f"--to {to}: the package {', '.join(missing)} is missing: install crackgate[export], for example "
            "pip install 'crackgate[export]'",
            EXIT_USAGE,
        )
    try:
        settings = load_config(config, assignments)
        folder = chosen_model(workspace, model, public_key, serving)
        card = read_card(folder)
        classes = card.classes
        check_empty(output)
        place = data_location(data)
        check_outside(output, place, "where it would be taken for a class")
        rules = gate_rules(classes, card.positive_classes, settings.gate)
        shares = _share_out(place, classes, settings)
        output.mkdir(parents=True, exist_ok=True)
        result = _export(folder, place, shares, to, settings)
    except (ConfigError, NotAReleaseError) as error:
        fail(str(error), EXIT_USAGE)
    except PhotographsError as error:
        fail(f"--data: {error}", EXIT_USAGE)
    except (ConversionError, StorageError) as error:
        fail(str(error), EXIT_FAILED)
    except OSError as error:
        fail(f"{error.filename!r}: {error.strerror}", EXIT_FAILED)
    requirements = _judge(result, rules, settings)
    failed = [say_requirement(row) for row in requirements if row.outcome == Outcome.FAILED]
    refused_for = [result.int8_problem] if result.int8_problem else failed
    _write(output, result, requirements, refused_for)
    _say(result, rules, requirements, output, refused_for)
    if refused_for:
        raise typer.Exit(EXIT_REFUSED)


def _share_out(data: Location, classes: list[str], settings: Config) -> "Shares":
    from pipeline.preconditions import resolve_data_set
    from serving.export.photographs import share_out

    data_set = resolve_data_set(data, settings)
    found = data_set.classes
    if sorted(classes) != sorted(found):
        raise ConfigError(
            f"--data: {str(data)!r} has the classes {', '.join(map(repr, found)) or 'none'}, the model has "
            f"{', '.join(map(repr, classes))}: give a folder with a sub-folder of photographs for each of them, and no "
            "other"
        )
    shares = share_out(data_set.images, classes)
    counts = Counter(file.label for file in shares.judging)
    for label, name in enumerate(classes):
        if not counts[label]:
            raise ConfigError(
                f"--data: {str(below(data, name))!r} holds one file: some are for calibrating, the others for "
                "judging; give two or more, better some dozens"
            )
    return shares


def _export(folder: Path, data: Location, shares: "Shares", runtime: Runtime, settings: Config) -> "Export":
    with console_on_a_copy_of(2).status("starting TensorFlow ...") as status, silence_output():
        from serving.export import export as conversion

        return conversion.export(folder, data, shares, runtime, settings.gate, status.update)


def _judge(result: "Export", rules: list[Rule], settings: Config) -> list[Requirement]:
    """The requirements on the integer network; none where there is no such network."""
    from serving.export.comparison import judge_network
    from serving.export.export import INT8, SAVED_MODEL

    networks = result.networks
    if INT8 not in networks:
        return []
    return judge_network(rules, networks[INT8], networks[SAVED_MODEL], result.model.classes, settings.gate)


def _write(output: Path, result: "Export", requirements: list[Requirement], refused_for: list[str]) -> None:
    from serving.export.record import make_record

    contents = _written(result, refused_for)
    # The last one: where it is, everything is.
    record: dict[str, Any] = make_record(result, requirements, refused_for)
    contents[_RECORD] = (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
    try:
        for name, content in contents.items():
            write_bytes(output / name, content)
    except OSError as error:
        fail(f"--output: cannot write to {str(output)!r}: {error.strerror}", EXIT_FAILED)


def _written(result: "Export", refused_for: list[str]) -> dict[str, bytes]:
    """What is written of the networks, by the files' names."""
    from serving.export.export import INT8
    from serving.export.record import file_name

    return {
        file_name(name, suffix): content
        for name, files in result.files.items()
        if not (name == INT8 and refused_for)
        for suffix, content in files.items()
    }


def _say(
    result: "Export", rules: list[Rule], requirements: list[Requirement], output: Path, refused_for: list[str]
) -> None:
    from crackgate_cli.tables.gate import print_requirements
    from crackgate_cli.tables.networks import print_networks

    console = table_console()

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    images = sum(result.judged_on.values())
    say(
        f"version {escape(result.model.version)}, judged by {counted(images, 'photograph')}; calibrated on "
        f"{result.calibrated_on} more"
    )
    print_networks(console, result)
    if requirements:
        say("[bold]Gate[/] of int8")
        print_requirements(console, requirements, result.model.positive_classes)
    if result.seen_in_training:
        say(
            f"[yellow]warning:[/] the model was trained on {result.seen_in_training} of these photographs: "
            "metrics are better than they will be on new ones"
        )
    if result.skipped:
        shown = "; ".join(f"{each.path!r}: {each.reason}" for each in result.skipped[:_LONGEST_LIST])
        more = "; ..." if len(result.skipped) > _LONGEST_LIST else ""
        say(f"[yellow]warning:[/] not used: {counted(len(result.skipped), 'file')}: {escape(shown)}{more}")
    if on_slices := [rule for rule in rules if rule.slice != ALL_IMAGES]:
        say(f"[yellow]warning:[/] not judged here: {counted(len(on_slices), 'requirement')} of the gate about slices")
    for name in _written(result, refused_for):
        say(f"[bold green]written[/] {escape(str(output / name))}")
    if refused_for:
        say("[bold red]REFUSED[/] int8:")
        for reason in refused_for:
            say(f"  {escape(reason)}")
    say(f"metrics     {escape(str(output / _RECORD))}")
