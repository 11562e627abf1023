"""Files that appear under their name when they are whole, or never."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Gives a path beside `target` to write to; what is there at the end takes the place of `target`.

    An exception leaves `target` as it was, and nothing beside it.

    Raises:
        OSError: The folder of `target` is not there or cannot be written to.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    # Now, and not after an hour of scoring.
    partial.touch()
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
