"""An S3 server (moto) in a process of its own, which can be killed while it answers and started again.

As a program it reads the objects from its standard input before it listens: they are there from the first answer on.
"""

import os
import pickle
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.helpers.command import PROJECT

BUCKET = "photographs"
# Of an account as moto's users have it.
_ACCOUNT = "123456789012"
# Exit status of a server that has died in the middle of its work.
DIED = 9


@dataclass
class S3Server:
    """One server on this machine: its objects by key, and whether it wants an identity."""

    objects: Mapping[str, bytes]
    port: int = field(default_factory=lambda: _free_port())
    asks_who: bool = False
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        """What a user sets for such a store."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self, dies_after: int = 0) -> None:
        """Starts it and waits until it answers; with `dies_after` it ends itself at that many objects read."""
        count = "0" if self.asks_who else "inf"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.s3_server", str(self.port), str(dies_after)],
            cwd=PROJECT,
            env={**os.environ, **self.environment, "INITIAL_NO_AUTH_ACTION_COUNT": count},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            pickle.dump(dict(self.objects), stdin)
        _wait_for(self.port, self.process)

    @contextmanager
    def revived(self) -> Iterator[None]:
        """Within the block, starts it again as soon as it has died."""
        assert self.process is not None
        process = self.process

        def revive() -> None:
            assert process.wait(600) == DIED
            self.start()

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(revive)
            yield
            done.result()

    def stop(self) -> None:
        """Kills it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def s3_server(objects: Mapping[str, bytes], asks_who: bool = False, dies_after: int = 0) -> Iterator[S3Server]:
    """A started server, until the end of the block."""
    server = S3Server(objects, asks_who=asks_who)
    server.start(dies_after)
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"no server answers on port {port}")


def _serve(port: int, dies_after: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import run_simple

    store = s3_backends[_ACCOUNT]["aws"]
    store.create_bucket(BUCKET, "us-east-1")
    for key, content in pickle.load(sys.stdin.buffer).items():
        store.put_object(BUCKET, key, content)
    application = DomainDispatcherApplication(create_backend_app)
    reads = 0

    def counted(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        nonlocal reads
        reads += environ["REQUEST_METHOD"] == "GET" and "HTTP_RANGE" in environ
        if reads == dies_after > 0:
            os._exit(DIED)
        return application(environ, respond)

    run_simple("127.0.0.1", port, counted, threaded=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
