"""`crackgate sample-data`: synthetic photographs to try the pipeline with."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from crackgate.atomic_files import whole_folder
from crackgate.pages.shown_text import show
from crackgate_cli.options import EXIT_FAILED, EXIT_USAGE, console_on_a_copy_of, fail

_NEW = ".new"


def sample_data(
    folder: Annotated[Path, typer.Argument(help="Folder to create; Positive/ and Negative/ go into it.")],
    count: Annotated[int, typer.Option(min=2, help="Images in all, half of each class.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same images.")] = 0,
) -> None:
    """Write synthetic photographs of cracked and sound concrete. They are JPEG files of 227x227 pixels."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{str(folder)!r} is not an empty folder: choose another one, or remove it", EXIT_USAGE)
    try:
        _write(folder, count, seed)
    except OSError as error:
        fail(f"cannot write to {error.filename!r}: {error.strerror}; make room, or give another folder", EXIT_FAILED)
    print(show(f"{count} images in {folder}"))


def _write(folder: Path, count: int, seed: int) -> None:
    from crackgate.images.sample_data import write_sample_data

    # Under its name only when it is whole: half a data set would train without complaint.
    # A folder that is there may be the current one, or a mounted one: neither can be replaced.
    target = folder / _NEW if folder.exists() else folder
    with whole_folder(target) as partial, Progress(console=console_on_a_copy_of(2)) as progress:
        task = progress.add_task("drawing photographs", total=count)
        write_sample_data(partial, count, seed, on_written=lambda _: progress.advance(task))
    if target != folder:
        for class_folder in target.iterdir():
            class_folder.rename(folder / class_folder.name)
        target.rmdir()
