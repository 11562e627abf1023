"""A real `crackgate serve` in a process of its own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
# What the entry point `crackgate` does, wherever this was installed.
_COMMAND = [sys.executable, "-c", "from crackgate_cli.main import main; main()", "serve"]


@dataclass
class Service:
    """A service that runs.

    Attributes:
        process: Its process.
        url: Where it listens, without a slash at the end.
        grpc: Host and port of gRPC; "" without it.
        log: What it writes on standard error.
    """

    process: "subprocess.Popen[str]"
    url: str
    grpc: str
    log: Path

    @property
    def port(self) -> int:
        """Of HTTP."""
        return int(self.url.rpartition(":")[2])

    def wait_until(self, ready: bool, version: int | None = None, refused: int | None = None) -> dict[str, object]:
        """Waits until the service says so of itself, and returns what it says."""
        patience = time.monotonic() + 300
        while time.monotonic() < patience:
            state = httpx.get(f"{self.url}/readyz").json()
            refused_now = state["refused"] and state["refused"]["version"]
            if state["ready"] == ready and state["version"] == version and refused_now == refused:
                return dict(state)
            time.sleep(0.1)
        raise AssertionError(f"the service says {state}; its log:\n{self.log.read_text()}")


@contextlib.contextmanager
def running_service(folder: Path, *arguments: str, **environment: str) -> Iterator[Service]:
    """Starts a service at free ports, and ends it as an orchestrator would."""
    log = folder / "service.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*_COMMAND, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        )
    assert process.stdout is not None
    try:
        places = {}
        for _ in range(1 + ("--grpc-port" in arguments)):
            kind, _, place = process.stdout.readline().strip().removeprefix("listening at ").rpartition("://")
            places[kind] = place
        assert "http" in places, f"the service did not start:\n{log.read_text()}"
        yield Service(process, f"http://{places['http']}", places.get("grpc", ""), log)
        process.terminate()
        assert process.wait(60) == 0, f"the service did not end well:\n{log.read_text()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
