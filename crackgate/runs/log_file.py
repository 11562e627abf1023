"""The log file of a run, which keeps TFX, Beam and TensorFlow out of the terminal."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from crackgate.lasting_stream import LastingStream
from crackgate.pages.shown_text import show_lines

# With the zone: a log is read on other machines, too.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"


class LogFormatter(logging.Formatter):
    """Records for people, who look at them in a terminal: names in them stay text."""

    def format(self, record: logging.LogRecord) -> str:
        """See `show`."""
        return show_lines(super().format(record))


LOG_FORMAT = LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", TIME_FORMAT)


@contextmanager
def log_to_file(file: Path, handler: logging.Handler, verbose: bool) -> Iterator[None]:
    """Sends every log record to `file` and to `handler`, and with `verbose` to the terminal too.

    Without `verbose`, the file receives standard output and error as descriptors. Open a console beforehand to write to
    the terminal.
    """
    with log_to_handlers(file, handler, *([logging.StreamHandler(sys.stderr)] if verbose else [])) as stream:
        if verbose:
            yield
        else:
            with redirect_output(stream.fileno()):
                yield


@contextmanager
def log_to_handlers(file: Path, *handlers: logging.Handler) -> Iterator[TextIO]:
    """Sends every log record to `file`, which it yields, and to the handlers only."""
    # The import comes first: absl installs handlers, which are replaced below.
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.INFO)
    file.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    with LastingStream(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)) as stream:
        to_file = logging.StreamHandler(stream)
        to_file.setFormatter(LOG_FORMAT)
        root.handlers = [to_file, *handlers]
        root.setLevel(logging.INFO)
        try:
            yield stream
        finally:
            root.handlers = before
            root.setLevel(level)


@contextmanager
def redirect_output(target: int) -> Iterator[None]:
    """Sends standard output and error, as file descriptors, to the descriptor `target`."""
    _flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        yield
    finally:
        _flush()
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Its reader may be gone, or its disk full.
        with suppress(OSError):
            stream.flush()


@contextmanager
def silence_output() -> Iterator[None]:
    """Drops standard output and error, TensorFlow's C++ messages included."""
    with Path(os.devnull).open("w") as nowhere, redirect_output(nowhere.fileno()):
        yield
