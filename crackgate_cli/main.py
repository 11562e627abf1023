"""The command line. TFX and TensorFlow are imported where a command needs them, so that help and errors are instant."""

import errno
import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from crackgate_cli.approve import approve, reject
from crackgate_cli.compare import compare
from crackgate_cli.config import config_app
from crackgate_cli.doctor import doctor
from crackgate_cli.environment import forgive_warnings, open_closed_streams, print_any_name, set_libraries_up
from crackgate_cli.export import export
from crackgate_cli.gate import gate
from crackgate_cli.inspect import inspect
from crackgate_cli.kubeflow import kubeflow_app
from crackgate_cli.local_paths import LocalPathsTyper
from crackgate_cli.mirror import mirror
from crackgate_cli.options import EXIT_FAILED, GATE_EXIT_CODES, RUN_EXIT_CODES, complain
from crackgate_cli.predict import predict
from crackgate_cli.prune import prune
from crackgate_cli.rollback import rollback
from crackgate_cli.run import run
from crackgate_cli.runs import runs_app
from crackgate_cli.sample_data import sample_data
from crackgate_cli.serve import serve
from crackgate_cli.train_worker import train_worker
from crackgate_cli.verify import verify
from crackgate_cli.versions import versions

# A full disk or quota, a limit on files, a broken device.
_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# A path that was given, or a file there, is at fault.
_USERS_FAULTS = (
    *_NOT_WRITABLE,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EMFILE,
    errno.ESTALE,
)

app = LocalPathsTyper(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Turns a folder of labelled surface photographs into a released, gated crack classifier.",
)


def main() -> None:
    """The entry point of the command `crackgate`."""
    open_closed_streams()
    print_any_name()
    forgive_warnings(os.environ)
    set_libraries_up(os.environ)
    try:
        app()
    except OSError as error:
        if not (sentence := _describe(error)):
            raise
        complain(sentence)
        # Nothing is tried once more while Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(EXIT_FAILED)


def _describe(error: OSError) -> str:
    """A sentence about what a user can mend; "" for what may be a fault of ours."""
    if error.filename is not None:
        return f"{error.filename!r}: {error.strerror}" if error.errno in _USERS_FAULTS else ""
    # A stream has no name, nor has the current folder.
    if error.errno in _NOT_WRITABLE:
        return f"the output cannot be written: {error.strerror}; make room, or give another place for it"
    if error.errno == errno.ENOENT:
        return "the current folder is no longer there: change to another one, or give whole paths"
    return ""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"crackgate {importlib.metadata.version('crackgate')}")
        raise typer.Exit()


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of every command."""


app.command(epilog=RUN_EXIT_CODES)(run)
app.command(epilog=GATE_EXIT_CODES)(gate)
app.command()(sample_data)
app.command(
    epilog="Exit codes: 0 all scored, 1 a file could not be scored, 2 usage, 5 an image was given a label of --fail-on."
)(predict)
app.command(epilog="Exit codes: 0 all inspected, 1 a photograph could not be inspected, 2 usage.")(inspect)
app.command()(serve)
app.command(epilog="Exit codes: 0 written, 3 int8 was refused, 2 usage, 1 anything else.")(export)
app.add_typer(runs_app, name="runs")
app.command()(compare)
app.command(epilog="Exit codes: 0 listed, 1 a record cannot be read, 2 usage: there is no such serving directory.")(
    versions
)
app.command(
    epilog="Exit codes: 0 everything is as it was released, 1 something is not, or a record cannot be read, "
    "2 usage: there is no such version or key."
)(verify)
app.command(
    epilog="Exit codes: 0 done, or that version is in production already, 1 the version is not as it was released, or "
    "the serving directory cannot be changed, 2 usage: there is no such version."
)(rollback)
app.command(
    epilog="Exit codes: 0 done, or that version is in production already, 1 the version is not as it was staged, was "
    "not compared with the one in production, or the serving directory cannot be changed, 2 usage: it is not staged."
)(approve)
app.command(
    epilog="Exit codes: 0 done, or that version is withdrawn already, 1 the serving directory cannot be changed, "
    "2 usage: it is not staged."
)(reject)
app.command(
    epilog="Exit codes: 0 both have the same versions, 1 a version was refused, or the store or the folder cannot be "
    "used, 2 usage: one of the places holds something else. With --every it ends by a signal alone."
)(mirror)
app.command(epilog="Exit codes: 0 removed, or shown, 1 something could not be removed, 2 usage, or a run is going on.")(
    prune
)
app.add_typer(config_app, name="config")
app.command(epilog="Exit codes: 0 nothing that every run needs is missing, 1 something is, 2 usage.")(doctor)
app.command()(train_worker)
app.add_typer(kubeflow_app, name="kubeflow")
