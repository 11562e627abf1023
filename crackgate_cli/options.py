"""Exit codes, options, checks and errors that several commands share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from crackgate.contracts.engine_choice import EngineChoice
from crackgate.lasting_stream import LastingStream
from crackgate.pages.shown_text import show
from crackgate.runs.workspace import Workspace
from crackgate.storage.location import Location, is_url, parse_location
from crackgate_cli.console import LiteralConsole

if TYPE_CHECKING:
    from crackgate.releases.signatures import PublicKey

_OTHER_EXIT_CODES = "2 usage or configuration, 3 the model was refused, 4 the data was rejected, 1 anything else."
RUN_EXIT_CODES = f"Exit codes: 0 released, staged or unchanged, {_OTHER_EXIT_CODES}"
GATE_EXIT_CODES = f"Exit codes: 0 passed, {_OTHER_EXIT_CODES}"
EXIT_FAILED = 1
EXIT_USAGE = 2
# Columns of what is no terminal: tables are as wide as they need.
_UNBOUNDED = 1000
# Columns in which each table has its names and numbers whole.
_NARROWEST = 80

WorkspaceOption = Annotated[Path, typer.Option(help="Folder of the runs and releases.")]
ModelOption = Annotated[
    Path | None,
    typer.Option(help="Folder of a released version, 'production' or 'staged'.", show_default="production"),
]
EngineOption = Annotated[
    EngineChoice,
    typer.Option(
        help="What scores: the fastest engine that agrees with TensorFlow, which decides what rounding could turn; or "
        "TensorFlow for all, which the gate judged and which starts slowly."
    ),
]
ConfigOption = Annotated[Path | None, typer.Option(help="Configuration, TOML.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Set one field of the configuration; repeatable."),
]
CacheOption = Annotated[bool, typer.Option(help="Reuse results of earlier runs where nothing changed.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the logs of TFX and TensorFlow, too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


ReasonOption = Annotated[str, typer.Option(help="Why, for the record.", callback=show)]
ServingOption = Annotated[
    Path | None,
    typer.Option(help="Serving directory, where it is not that of a workspace.", show_default="WORKSPACE/serving"),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        help="PEM file of the Ed25519 key that must have signed the version.",
        show_default="release.pub of the serving directory, if it is there",
    ),
]


def fail(message: str, code: int) -> NoReturn:
    """Ends the command with an error."""
    complain(message)
    raise typer.Exit(code)


def complain(message: str) -> None:
    """Says what is wrong, on standard error."""
    _say_beside(f"[bold red]error:[/] {escape(message)}")


def note(message: str) -> None:
    """Says what a user should know, on standard error."""
    _say_beside(f"[bold]note:[/] {escape(message)}")


def tell(message: str) -> None:
    """Says what a command did, on standard error."""
    _say_beside(escape(message))


def _say_beside(marked: str) -> None:
    # The exit code says what a command came to, also where nobody reads this, or its disk is full.
    with suppress(OSError):
        LiteralConsole(stderr=True).print(marked, highlight=False, soft_wrap=True)


def data_location(data: str, option: str = "--data") -> Location:
    """The absolute path or the URL that an option gives; ends the command for a URL that no client reads."""
    try:
        return parse_location(data)
    except ValueError as error:
        fail(f"{option}: received {data!r}; {error}", EXIT_USAGE)


def check_empty(output: Path) -> None:
    """Ends the command where its output is neither new nor an empty folder."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        fail(f"--output: {str(output)!r} is not an empty folder: choose another one, or remove it", EXIT_USAGE)


def check_outside(output: Path, folder: Location, reason: str) -> None:
    """Ends the command where its output lies in a folder that it reads; `reason` says what would happen."""
    if not is_url(folder) and output.resolve().is_relative_to(Path(folder).resolve()):
        fail(f"--output: {str(output)!r} lies in {str(folder)!r}, {reason}: choose a folder outside", EXIT_USAGE)


def console_on_a_copy_of(descriptor: int) -> Console:
    """A console that keeps writing to the terminal when the descriptor is redirected, and outlives its reader."""
    return LiteralConsole(file=LastingStream(os.dup(descriptor)), width=_width(descriptor))


def table_console() -> Console:
    """Standard output for tables: where it is no terminal, every line is whole, for `grep` and the like.

    A narrow terminal breaks their lines itself, which cuts no number.
    """
    return LiteralConsole(width=max(_width(1), _NARROWEST))


def _width(descriptor: int) -> int:
    columns = os.environ.get("COLUMNS", "")
    wanted = int(columns) if columns.isdecimal() else 0
    if os.isatty(descriptor):
        return wanted or os.get_terminal_size(descriptor).columns or _UNBOUNDED
    # Exported by a shell, it is the width of a terminal that shows none of this.
    return max(wanted, _NARROWEST) if wanted else _UNBOUNDED


def chosen_model(workspace: Path, model: Path | None, public_key: Path | None, serving: Path | None = None) -> Path:
    """The folder of the version that a command works with; ends the command where there is none, or no signed one."""
    return chosen_release(workspace, model, public_key, serving).folder


class ChosenRelease(NamedTuple):
    """The folder of a version, and its number and the key that signed it; None where no signature is required."""

    folder: Path
    number: int | None
    signed_by: "PublicKey | None"


def chosen_release(
    workspace: Path, model: Path | None, public_key: Path | None, serving: Path | None = None
) -> ChosenRelease:
    """See `chosen_model`."""
    from crackgate.releases import UntrustedVersionError, check_trusted, required_key

    folder = _find_model(serving or Workspace(workspace).serving, model)
    try:
        given = read_public_key(public_key)
        key = required_key(folder, given)
        number = check_trusted(folder, given)
    except UntrustedVersionError as error:
        fail(str(error), EXIT_FAILED)
    return ChosenRelease(folder, number, key)


def read_public_key(file: Path | None) -> "PublicKey | None":
    """The key of `--public-key`; ends the command where it holds none."""
    if file is None:
        return None
    from crackgate.releases.signatures import KeyFileError, load_public_key

    try:
        return load_public_key(file)
    except KeyFileError as error:
        fail(f"--public-key: {error}", EXIT_USAGE)


@contextmanager
def release_errors() -> Iterator[None]:
    """Ends the command, with the reason, where a version cannot be put into production or taken out of it."""
    from crackgate.releases import ManifestError, NotComparedError, ServingDirectoryError
    from crackgate.releases.withdrawal import AlteredVersionError, NoSuchVersionError

    try:
        yield
    except NoSuchVersionError as error:
        fail(str(error), EXIT_USAGE)
    except (AlteredVersionError, ManifestError, NotComparedError, ServingDirectoryError) as error:
        fail(str(error), EXIT_FAILED)


def is_alias(model: Path) -> bool:
    """Whether `--model` names no folder, but the version in production or the one that waits for approval."""
    from crackgate.releases import ALIASES

    return str(model) in ALIASES and not (model / "saved_model.pb").is_file()


def resolve_alias(serving: Path, model: Path) -> Path:
    """The folder of the version that 'production' or 'staged' names; ends the command where there is none.

    Another path is returned as it is.
    """
    from crackgate.releases import ALIASES

    alias = str(model)
    if not is_alias(model):
        return model
    if folder := ALIASES[alias](serving):
        return folder
    what = "released model" if alias == "production" else "version that waits for approval"
    advice = "run 'crackgate run' first, or give a folder by --model"
    if staged := ALIASES["staged"](serving):
        advice = (
            f"'crackgate approve {staged.name}' puts the staged one into production, --model staged takes it as it is"
        )
    fail(f"there is no {what} in {str(serving)!r}: {advice}", EXIT_USAGE)


def _find_model(serving: Path, model: Path | None) -> Path:
    folder = resolve_alias(serving, model or Path("production"))
    if not (folder / "saved_model.pb").is_file():
        fail(f"{str(folder)!r} is no released version: it has no saved_model.pb", EXIT_USAGE)
    return folder


def serving_directory(workspace: Path, serving: Path | None) -> Path:
    """The serving directory that a command works with; ends the command where there is none."""
    folder = serving or Workspace(workspace).serving
    if not folder.is_dir():
        fail(
            f"there is no serving directory {str(folder)!r}: give the --workspace that 'crackgate run' wrote to, or "
            "--serving",
            EXIT_USAGE,
        )
    return folder.resolve()
