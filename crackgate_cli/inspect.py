"""`crackgate inspect`: cracks in whole photographs."""

import time
from pathlib import Path
from typing import Annotated

import typer

from crackgate.contracts.card import NotAReleaseError, read_card
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.plural import counted
from crackgate.runs.log_file import silence_output
from crackgate.storage.cache import listed_once
from crackgate.storage.object_store import StorageError
from crackgate.time_left import time_left
from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    EngineOption,
    ModelOption,
    PublicKeyOption,
    ServingOption,
    WorkspaceOption,
    check_empty,
    check_outside,
    chosen_model,
    console_on_a_copy_of,
    fail,
    note,
    tell,
)
from serving.batch.inputs import NoSuchInputError, check_inputs, find_images
from serving.inspection import MAP_FILE, OVERLAP, PAGE_FILE, usual_tile


@listed_once()
def inspect(
    photographs: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO|DIR|'PATTERN'|URL...", help="Photographs, folders or prefixes, quoted patterns."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New or empty folder that receives heat maps, tiles and measures.")
    ],
    workspace: WorkspaceOption = Path("workspace"),
    model: ModelOption = None,
    serving: ServingOption = None,
    public_key: PublicKeyOption = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=32,
            max=8192,
            help="Side of a tile in pixels of the photographs: as much surface as an image that the model was trained "
            "on.",
            show_default="the median side of the training images",
        ),
    ] = None,
    overlap: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of a tile that the next one covers at least.")
    ] = OVERLAP,
    engine: EngineOption = EngineChoice.FASTEST,
) -> None:
    """Find cracks in whole photographs. Each gets a heat map, tiles and measures, all of them one summary."""
    try:
        check_inputs(photographs)
        folder = chosen_model(workspace, model, public_key, serving)
        card = read_card(folder)
        if not card.positive_classes:
            fail(
                f"the model in {str(folder)!r} has no positive class, so there is nothing to look for: release one "
                "with train.positive_classes set to the classes of cracks",
                EXIT_USAGE,
            )
        _prepare(output, photographs)
        if tile is None and card.scale_note:
            note(f"{card.scale_note}; tiles have {usual_tile(None)} pixels: give --tile where another size is right")
        if tile is not None and card.scale and not card.scale.takes(tile, tile):
            note(
                f"--tile: the model was trained on {card.scale.in_words()}; tiles of {tile} pixels are right only "
                "where they show as much surface as these images"
            )
        failed = _inspect(folder, photographs, output, tile or usual_tile(card.scale), overlap, engine)
    except (NoSuchInputError, NotAReleaseError) as error:
        fail(str(error), EXIT_USAGE)
    except StorageError as error:
        fail(str(error), EXIT_FAILED)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _prepare(output: Path, photographs: list[str]) -> None:
    check_empty(output)
    for folder in filter(Path.is_dir, map(Path, photographs)):
        check_outside(output, folder, "so that heat maps would be taken for photographs")
    output.mkdir(parents=True, exist_ok=True)


def _inspect(
    folder: Path, photographs: list[str], output: Path, tile: int, overlap: float, engine: EngineChoice
) -> int:
    """Returns how many photographs could not be inspected."""
    console = console_on_a_copy_of(1)
    failed = cracked = located = number = 0
    # On one terminal, the lines go above the status; two consoles would write over each other.
    shown = console if console.is_terminal else console_on_a_copy_of(2)
    with shown.status("looking for photographs ...") as status, silence_output():
        count = sum(1 for _ in find_images(photographs, output))
        status.update("loading the model ...")
        from crackgate.model.released_model import load_released_model
        from serving.inspection.inspector import Inspector
        from serving.inspection.summaries import summaries

        inspector = Inspector(load_released_model(folder, engine), tile, overlap)
        with summaries(output, inspector.settings) as add:
            began = first = time.monotonic()
            for number, inspected in enumerate(inspector.inspect(find_images(photographs, output), output), start=1):
                add(inspected)
                took, began = time.monotonic() - began, time.monotonic()
                name = inspected.photograph if inspected.photograph.isprintable() else repr(inspected.photograph)
                said = f"error: {inspected.error}" if inspected.error else f"{inspected.measures} ({took:.1f} s)"
                failed += inspected.error is not None
                cracked += inspected.measures is not None and inspected.measures.is_positive
                located += inspected.geotag is not None
                console.print(f"{name}: {said}", markup=False, highlight=False, soft_wrap=True)
                left = time_left(began - first, number, count)
                status.update(f"inspecting ... {number:,} of {counted(count, 'photograph')}, {left}")
    if located:
        tell(f"{located:,} of {counted(number, 'photograph')} with a GPS position: {output / MAP_FILE}")
    tell(f"{counted(number, 'photograph')}: {cracked} with cracks, {failed} not inspected: {output / PAGE_FILE}")
    return failed
