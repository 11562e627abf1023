"""`crackgate predict`: any number of images, rows as they are scored."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from crackgate.atomic_files import whole_file
from crackgate.config.configuration import ConfigError, load_config
from crackgate.contracts.card import NotAReleaseError, ReleaseCard, read_card
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.contracts.positive_names import say_rule
from crackgate.plural import counted
from crackgate.runs.log_file import silence_output
from crackgate.storage.cache import listed_once
from crackgate.storage.object_store import StorageError
from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    ConfigOption,
    EngineOption,
    ModelOption,
    PublicKeyOption,
    ServingOption,
    SetOption,
    WorkspaceOption,
    check_empty,
    chosen_release,
    console_on_a_copy_of,
    fail,
    note,
    table_console,
    tell,
)
from serving.batch.counts import PredictionCounts
from serving.batch.formats import Format, UnknownFormatError, Write, format_of, parquet_writer, text_writer
from serving.batch.inputs import NoSuchInputError, check_inputs, find_images
from serving.batch.labels import UNFAMILIAR, UnknownLabelError, resolve_labels

EXIT_LABEL_FOUND = 5
# Rows between two updates of the terminal.
_ROWS_BETWEEN_UPDATES = 64


@listed_once()
def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|DIR|'PATTERN'|URL...", help="Images, folders or prefixes of them, quoted patterns."
        ),
    ],
    workspace: WorkspaceOption = Path("workspace"),
    model: ModelOption = None,
    serving: ServingOption = None,
    public_key: PublicKeyOption = None,
    kind: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the rows.", show_default="the extension of --output, else table"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File that appears when it is whole; with --beam a folder of shards."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="Exit with 5 when the model gives an image this label, or finds one 'unfamiliar'; repeatable.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    beam: Annotated[
        bool, typer.Option("--beam", help="Score in a Beam pipeline, as the section 'beam' of the configuration says.")
    ] = False,
    engine: EngineOption = EngineChoice.FASTEST,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Score images with a released model. Rows come out as they are scored, in flat memory."""
    try:
        kind = _choose_format(kind, as_json, output, beam)
        check_inputs(images, output)
        folder, version, signed_by = chosen_release(workspace, model, public_key, serving)
        card = read_card(folder)
        failing = resolve_labels(fail_on or [], card)
        settings = load_config(config, assignments)
        if not beam and (config or assignments):
            fail("--config and --set: they configure Beam here; give --beam, too", EXIT_USAGE)
        if card.scale_note:
            note(card.scale_note)
        if beam:
            from crackgate_cli.predict_on_beam import predict_on_beam

            assert output is not None
            counts = predict_on_beam(folder, images, output, kind, engine, settings.beam, signed_by, version)
        else:
            counts = _predict_here(folder, card, images, output, kind, engine)
    except (NoSuchInputError, UnknownFormatError, UnknownLabelError, NotAReleaseError, ConfigError) as error:
        fail(str(error), EXIT_USAGE)
    except StorageError as error:
        fail(str(error), EXIT_FAILED)
    tell(counts.in_words(card.classes, card.positive_classes))
    found = [f"{counts.labels[label]} of {label!r}" for label in sorted(failing.labels) if counts.labels.get(label)]
    if failing.unfamiliar and counts.unfamiliar:
        found.append(f"{counts.unfamiliar} {UNFAMILIAR}")
    if found:
        fail(f"--fail-on: there are such images: {', '.join(found)}", EXIT_LABEL_FOUND)
    if counts.errors:
        raise typer.Exit(EXIT_FAILED)


def _choose_format(kind: Format | None, as_json: bool, output: Path | None, beam: bool) -> Format:
    if as_json and kind not in (None, Format.JSON):
        fail(f"received --json and --format {kind}: give one of them", EXIT_USAGE)
    if as_json:
        kind = Format.JSON
    if beam:
        if output is None:
            fail("--beam writes shards: give the folder that receives them as --output", EXIT_USAGE)
        if kind not in (None, Format.PARQUET, Format.JSONL):
            fail(f"--format: received {kind}, with --beam allowed are parquet (the default) and jsonl", EXIT_USAGE)
        check_empty(output)
        return kind or Format.PARQUET
    if output is None:
        if kind is Format.PARQUET:
            fail("--format parquet needs a file: give --output", EXIT_USAGE)
        return kind or Format.TABLE
    if output.is_dir() or not output.parent.is_dir():
        problem = "is a folder" if output.is_dir() else f"lies in {str(output.parent)!r}, which is no folder"
        fail(f"--output: {str(output)!r} {problem}: give the name of a file in a folder that exists", EXIT_USAGE)
    return kind or format_of(output)


def _predict_here(
    folder: Path, card: ReleaseCard, images: list[str], output: Path | None, kind: Format, engine: EngineChoice
) -> PredictionCounts:
    counts = PredictionCounts()
    console = console_on_a_copy_of(2)
    with (
        console.status("loading the model ...") as status,
        _writer(kind, output, card.classes) as write,
        silence_output(),
    ):
        from crackgate.model.predictions import predict as predict_files
        from crackgate.model.released_model import load_released_model

        model = load_released_model(folder, engine)
        if output is None:
            # Rows and a status line on one terminal would write over each other.
            status.stop()
        for row in predict_files(model, find_images(images, output)):
            write(row)
            counts.add(row.answer)
            if counts.rows % _ROWS_BETWEEN_UPDATES == 0:
                status.update(f"scoring ... {counted(counts.rows, 'image')}")
    if kind is Format.TABLE and output is None and card.threshold is not None:
        rule = say_rule(card.positive_classes, card.threshold)
        table_console().print(rule, highlight=False, soft_wrap=True, markup=False)
    return counts


@contextmanager
def _writer(kind: Format, output: Path | None, classes: list[str]) -> Iterator[Write]:
    with ExitStack() as stack:
        if output is None:
            stream = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace", newline="")
        else:
            partial = stack.enter_context(whole_file(output))
            if kind is Format.PARQUET:
                yield stack.enter_context(parquet_writer(partial, classes))
                return
            stream = partial.open("w", encoding="utf-8", newline="")
        stack.enter_context(stream)
        yield stack.enter_context(text_writer(kind, stream, classes))
