"""A MariaDB server from the system's packages, in a folder of its own and on a free port of this machine."""

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD, DATABASE = "crackgate", "pass-word-of-the-test", "mlmd"


def is_installed() -> bool:
    return all(map(shutil.which, ("mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump")))


@dataclass
class MariaDB:
    """A server that can be killed and started again; its data stay."""

    folder: Path
    port: int = field(default=0)
    _process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()
        self.query(
            f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4; "
            f"CREATE USER '{USER}'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORD}'); "
            f"GRANT ALL ON {DATABASE}.* TO '{USER}'@'%';"
        )

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "mariadbd",
                "--no-defaults",
                "--user=root",
                f"--datadir={self.folder / 'data'}",
                f"--socket={self.folder / 'socket'}",
                f"--pid-file={self.folder / 'pid'}",
                f"--log-error={self.folder / 'log'}",
                "--bind-address=127.0.0.1",
                f"--port={self.port}",
                "--innodb-buffer-pool-size=32M",
            ]
        )
        deadline = time.monotonic() + 60
        while subprocess.run(self._client("mariadb", "-e", "SELECT 1"), capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def query(self, statement: str) -> list[list[str]]:
        found = subprocess.run(
            self._client("mariadb", "--batch", "--skip-column-names", "-e", statement),
            check=True,
            capture_output=True,
            text=True,
        )
        return [line.split("\t") for line in found.stdout.splitlines()]

    def dump(self) -> str:
        """Everything that is stored, as text."""
        dumped = subprocess.run(self._client("mariadb-dump", DATABASE), check=True, capture_output=True, text=True)
        return dumped.stdout

    def environment(self) -> dict[str, str]:
        """What a task is given."""
        return {
            "MLMD_HOST": "127.0.0.1",
            "MLMD_PORT": str(self.port),
            "MLMD_DATABASE": DATABASE,
            "MLMD_USER": USER,
            "MLMD_PASSWORD": PASSWORD,
        }

    def _client(self, program: str, *arguments: str) -> list[str]:
        return [program, "--no-defaults", "--user=root", f"--socket={self.folder / 'socket'}", *arguments]
