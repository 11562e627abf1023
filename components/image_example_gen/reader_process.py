"""The program of a reader process (see `reader_processes`), which reads batches one by one.

    python -P -m components.image_example_gen.reader_process CONNECTION

CONNECTION is the file descriptor of a `multiprocessing.Pipe`. It sends None after the imports, then a `Staged` for each
`Batch` that it receives.
"""

import gc
import os
import queue
import sys
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.image_example_gen.reader_processes import Batch

# A run that takes over stored examples has nothing to read.
_SECONDS_IDLE = 60


def main(descriptor: int) -> None:
    """Reads until the other end closes or has long been idle."""
    connection = Connection(descriptor)
    batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, batches), daemon=True).start()
    # Imported objects stay: there is nothing to collect.
    gc.disable()
    from threadpoolctl import threadpool_limits

    from components.image_example_gen import staged_examples  # noqa: F401 - TensorFlow, for the first batch

    gc.freeze()
    gc.enable()
    with threadpool_limits(limits=1, user_api="blas"):
        connection.send(None)
        while True:
            try:
                batch = batches.get(timeout=_SECONDS_IDLE)
            except queue.Empty:
                return
            with open(batch.file, "wb") as content:
                staged = batch.reader.stage(batch.number, batch.images, batch.file, content)
            connection.send(staged)


def _receive(connection: Connection, batches: "queue.SimpleQueue[Batch]") -> None:
    """Receives in a separate thread, so that senders never wait, and ends this process with the sender."""
    while True:
        try:
            batches.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
