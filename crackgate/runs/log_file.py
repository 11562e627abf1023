"""Where the noise goes: TFX, Beam and TensorFlow write to the run's log file, the terminal stays ours."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def logged_to(file: Path, handler: logging.Handler, verbose: bool) -> Iterator[None]:
    """Sends every log record to `file` and to `handler`, and with `verbose` to the terminal too.

    Without `verbose`, standard output and error are turned to the file as file descriptors, since TensorFlow's C++
    code writes there without asking Python. Write to a console opened before.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Importing absl first: it installs its own handlers on import, which are replaced below.
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.INFO)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = file.open("a", encoding="utf-8", errors="backslashreplace")
    to_file = logging.StreamHandler(stream)
    to_file.setFormatter(logging.Formatter(_FORMAT))
    root.handlers = [to_file, handler, *([logging.StreamHandler(sys.stderr)] if verbose else [])]
    root.setLevel(logging.INFO)
    try:
        if verbose:
            yield
        else:
            with output_turned_to(stream.fileno()):
                yield
    finally:
        root.handlers = before
        root.setLevel(level)
        stream.close()


@contextmanager
def output_turned_to(target: int) -> Iterator[None]:
    """Sends standard output and error, as file descriptors, to the descriptor `target`."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


@contextmanager
def silenced_output() -> Iterator[None]:
    """Drops standard output and error, where TensorFlow's C++ code greets and reports, whatever Python is told."""
    with Path(os.devnull).open("w") as nowhere, output_turned_to(nowhere.fileno()):
        yield
