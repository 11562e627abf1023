"""The caller's environment, as far as it would change what crackgate does."""

import io
import os
import sys
import warnings
from collections.abc import MutableMapping, MutableSequence
from pathlib import Path

from crackgate.source_digest import PACKAGES

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def keep_own_packages_first(
    path: MutableSequence[str], environment: MutableMapping[str, str], here: Path, root: Path
) -> None:
    """Puts `root`, which holds crackgate's packages, before every entry of `path` that has one of the same name.

    Names such as `pipeline` are common. Processes that this one starts follow `environment`; those that Beam starts
    would look into the current folder, `here`, first.
    """
    before = path[: path.index(str(root))] if str(root) in path else path
    hiding = [entry for entry in before if entry and _hides(Path(entry), root)]
    if hiding:
        path.insert(path.index(hiding[0]), str(root))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), environment.get("PYTHONPATH", ""))))
    if _hides(here, root):
        environment["PYTHONSAFEPATH"] = "1"


def _hides(folder: Path, root: Path) -> bool:
    found = any((folder / name).is_dir() or (folder / f"{name}.py").is_file() for name in PACKAGES)
    return found and folder.resolve() != root


def open_closed_streams() -> None:
    """Opens nothing in place of each standard stream that the caller closed.

    Otherwise the next file that is opened takes the descriptor, and receives what is printed.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor, which is this one: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def print_any_name() -> None:
    """Characters that the terminal's encoding has not are written out: no name ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def forgive_warnings(environment: MutableMapping[str, str]) -> None:
    """Lets no warning of a library end a command, here and in processes that follow `environment`.

    A caller who makes errors of warnings, in CI for instance, means his own program.
    """
    if "error" in environment.get("PYTHONWARNINGS", ""):
        del environment["PYTHONWARNINGS"]
        sys.warnoptions.clear()
        warnings.simplefilter("ignore")


def set_libraries_up(environment: MutableMapping[str, str]) -> None:
    """Settings of libraries that a user makes for other programs do not reach this one.

    Keras runs on TensorFlow. Beam's workers on this machine are reached without a proxy.
    """
    environment["KERAS_BACKEND"] = "tensorflow"
    # Rich takes every digit for a number, "²" as well.
    for name in ("COLUMNS", "LINES"):
        if not environment.get(name, "0").isdecimal():
            del environment[name]
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy") for name in environment):
        for name in ("no_proxy", "NO_PROXY"):
            named = [host for host in environment.get(name, "").split(",") if host]
            environment[name] = ",".join([*named, *(host for host in _LOOPBACK if host not in named)])
