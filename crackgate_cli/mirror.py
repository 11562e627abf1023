"""`crackgate mirror`: the released versions in a bucket, and from there on other machines."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crackgate.storage.location import FORMS
from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    PublicKeyOption,
    ServingOption,
    WorkspaceOption,
    complain,
    data_location,
    fail,
    read_public_key,
    serving_directory,
)

if TYPE_CHECKING:
    from crackgate.releases.signatures import PublicKey


def mirror(
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Prefix in a bucket that gets the versions: s3://, gs:// or az://."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="Prefix that a mirror filled, for --serving."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=1, max=86_400, help="Go on: look again after so many seconds."),
    ] = None,
    public_key: PublicKeyOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
) -> None:
    """Copy released versions to a bucket, or from there. Withdrawn versions go. Each version is verified."""
    if (to is None) == (source is None):
        fail("give one of --to URL and --from URL", EXIT_USAGE)
    option, given = ("--to", to) if source is None else ("--from", source)
    url = data_location(str(given), option)
    if not isinstance(url, str):
        fail(f"{option}: received {given!r}, a path; allowed are {FORMS}", EXIT_USAGE)
    if source is not None and serving is None:
        fail("--from needs --serving: the folder that gets the versions, empty or a mirror already", EXIT_USAGE)
    key = read_public_key(public_key)
    folder = serving_directory(workspace, serving) if serving is None or source is None else serving.resolve()
    while True:
        # The first look, too, may come before the other side's.
        exit_code = _look(url, folder, source is None, key, every is None)
        if every is None:
            raise typer.Exit(exit_code)
        time.sleep(every)


def _look(url: str, folder: Path, is_upload: bool, key: "PublicKey | None", is_only: bool) -> int:
    """Makes both places alike and says what was done; returns the exit code. An only look always says something."""
    from crackgate.releases import ServingDirectoryError
    from crackgate.releases.mirror import MirrorError, download, upload
    from crackgate.releases.signatures import KeyFileError
    from crackgate.storage.object_store import StorageError

    try:
        done = upload(folder, url, key) if is_upload else download(url, folder, key)
    except OSError as error:
        complain(f"{error.filename!r}: {error.strerror}; see to it, and try again")
        return EXIT_FAILED
    except (MirrorError, KeyFileError, StorageError, ServingDirectoryError) as error:
        complain(str(error))
        return EXIT_USAGE if isinstance(error, MirrorError | KeyFileError) else EXIT_FAILED
    for number in done.added:
        print(f"added version {number}", flush=True)
    for number in done.removed:
        print(f"removed version {number}, which is released no longer", flush=True)
    for problem in done.problems:
        complain(problem)
    if is_only and not (done.added or done.removed or done.problems):
        print("both places have the same versions: nothing was changed")
    return EXIT_FAILED if done.problems else 0
