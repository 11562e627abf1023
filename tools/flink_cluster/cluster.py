"""One Flink job manager, task managers with a worker pool each, and Beam's job server.

Every part is a process group with its log in `logs/`. A hosts file of each task manager's JVM maps `worker-pool` to
the loopback address of its own pool.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil

from tools.flink_cluster.software import Software

STATE_FILE = "cluster.json"

_PROJECT = Path(__file__).resolve().parents[2]
_SECONDS_TO_START = 120
_SECONDS_TO_STOP = 10
# Flink's own defaults for Java 17, which its start scripts take from its configuration.
_JAVA_OPENINGS = [
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text"),
            *("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
            "java.util.concurrent.locks",
        )
    ),
]
_TASK_MANAGER_HEAP_MB = 640
# Without Flink's start scripts, a task manager needs every share of its memory.
_SETTINGS = {
    "jobmanager.rpc.address": "localhost",
    "jobmanager.bind-host": "localhost",
    "taskmanager.host": "localhost",
    "taskmanager.bind-host": "localhost",
    "rest.address": "localhost",
    "rest.bind-address": "localhost",
    "taskmanager.cpu.cores": "1.0",
    "taskmanager.memory.framework.heap.size": "128mb",
    "taskmanager.memory.framework.off-heap.size": "128mb",
    "taskmanager.memory.task.heap.size": f"{_TASK_MANAGER_HEAP_MB - 128}mb",
    "taskmanager.memory.task.off-heap.size": "0b",
    # Ingest has many exchanges at a time: the default of 64 MB cannot hold 512 buffers for each.
    "taskmanager.memory.network.min": "256mb",
    "taskmanager.memory.network.max": "256mb",
    "taskmanager.network.sort-shuffle.min-buffers": "64",
    "taskmanager.memory.managed.size": "128mb",
    "taskmanager.memory.jvm-metaspace.size": "768mb",
    "taskmanager.memory.jvm-overhead.min": "192mb",
    "taskmanager.memory.jvm-overhead.max": "192mb",
    "taskmanager.load-balance.mode": "SLOTS",
    # With Beam's classes of its own, a task manager keeps a worker from one step to the next.
    "classloader.resolve-order": "parent-first",
    # Refused connections show a killed task manager long before the heartbeat times out.
    "heartbeat.interval": "3000",
    "heartbeat.timeout": "60000",
    # Ingest hands 200 tasks at a time to a JVM that shares its core with the workers.
    "pekko.ask.timeout": "60 s",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "3",
    # Long enough to notice that a task manager was killed.
    "restart-strategy.fixed-delay.delay": "10 s",
    # Regional failover would spend one attempt on each step that lost an output.
    "jobmanager.execution.failover-strategy": "full",
}
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


class ClusterError(RuntimeError):
    """A part of the cluster did not start; the message has the end of its log."""


@dataclass(frozen=True)
class Process:
    """A process of this or another Python; its start time tells it from a later one of the same number."""

    pid: int
    started: float

    def is_alive(self) -> bool:
        """Tells whether it runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to its whole process group."""
        if self.is_alive():
            os.killpg(self.pid, number)


class FlinkCluster:
    """A running cluster, with `job_endpoint` and `worker_pool` as HOST:PORT, and Flink's REST root `rest`.

    Each task manager resolves `worker_pool` to its own pool.
    """

    def __init__(self, folder: Path, software: Software, slots: int, ports: dict[str, int]):
        self._folder = folder
        self._software = software
        self._slots = slots
        self._ports = ports
        self._processes: dict[str, Process] = {}
        self.job_endpoint = f"localhost:{ports['job']}"
        self.worker_pool = f"worker-pool:{ports['pool']}"
        self.rest = f"http://localhost:{ports['rest']}"

    @classmethod
    def start(cls, folder: Path, software: Software, task_managers: int = 2, slots: int = 2, job_port: int = 0) -> Self:
        """Starts everything and waits until all slots are there.

        Args:
            folder: Empty or new; receives logs, temporary files and the state for `load`.
            slots: Slots of each task manager. With spare slots, jobs survive the loss of a task manager.
            job_port: Port of the job server; 0 for any.

        Raises:
            ClusterError: A part ended at once, or did not answer within two minutes. Everything is stopped.
        """
        ports = {"job": job_port or _free_port(), **{name: _free_port() for name in ("rest", "rpc", "pool")}}
        cluster = cls(folder.resolve(), software, slots, ports)
        try:
            cluster._start_parts(task_managers)
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @classmethod
    def load(cls, folder: Path, software: Software) -> Self | None:
        """Returns the cluster that any process started in `folder`, or None."""
        file = folder / STATE_FILE
        if not file.is_file():
            return None
        state = json.loads(file.read_text(encoding="utf-8"))
        cluster = cls(folder.resolve(), software, state["slots"], state["ports"])
        cluster._processes = {name: Process(**process) for name, process in state["processes"].items()}
        return cluster

    def settings(self) -> list[str]:
        """Returns the `--set` options of `crackgate` for a run on all task managers of this cluster."""
        return [
            "beam.profile=flink",
            f"beam.job_endpoint={self.job_endpoint}",
            f"beam.worker_pool={self.worker_pool}",
            f"beam.parallelism={sum(name.startswith('task-manager') for name in self._processes)}",
        ]

    def task_managers(self) -> int:
        """Returns the number of task managers that the job manager knows."""
        return int(self.ask("/overview")["taskmanagers"])

    def ask(self, path: str) -> Any:
        """Returns the JSON at a path of Flink's REST interface; raises OSError without an answer."""
        with urllib.request.urlopen(self.rest + path, timeout=10) as answer:
            return json.load(answer)

    def is_alive(self) -> dict[str, bool]:
        """Tells whether each part runs, by name."""
        return {name: process.is_alive() for name, process in self._processes.items()}

    def start_task_manager(self, number: int) -> None:
        """Starts a task manager, counted from 0, also in place of a killed one."""
        hosts = self._folder / f"hosts-{number}"
        hosts.write_text(
            f"127.0.0.1 localhost {socket.gethostname()}\n{_pool_address(number)} worker-pool\n", encoding="utf-8"
        )
        memory = f"-Xms128m -Xmx{_TASK_MANAGER_HEAP_MB}m -XX:MaxDirectMemorySize=768m -XX:MaxMetaspaceSize=768m"
        self._start_java(
            f"task-manager-{number}",
            [*memory.split(), f"-Djdk.net.hosts.file={hosts}"],
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            ["--configDir", str(self._conf), "-D", f"taskmanager.resource-id=task-manager-{number}-{time.time_ns()}"],
        )

    def start_worker_pool(self, number: int) -> None:
        """Starts the worker pool of a task manager, counted from 0."""
        address = f"{_pool_address(number)}:{self._ports['pool']}"
        self._start_process(f"worker-pool-{number}", [sys.executable, "-m", "tools.flink_cluster.worker_pool", address])

    def kill_task_manager(self, number: int) -> None:
        """Kills a task manager with SIGKILL."""
        self._processes[f"task-manager-{number}"].signal(signal.SIGKILL)

    def kill_worker_pool(self, number: int) -> None:
        """Kills a worker pool and its workers with SIGKILL, like a killed container."""
        self._processes[f"worker-pool-{number}"].signal(signal.SIGKILL)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for a condition; raises ClusterError with `what` it is after two minutes."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {_SECONDS_TO_START} s for {what}; logs: {self._folder / 'logs'}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends all parts in reverse order. The folder stays, but `load` finds no cluster there."""
        processes = list(self._processes.values())[::-1]
        for process in processes:
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for process in processes:
            while process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.1)
            process.signal(signal.SIGKILL)
        (self._folder / STATE_FILE).unlink(missing_ok=True)

    @property
    def _conf(self) -> Path:
        return self._folder / "conf"

    def _start_parts(self, task_managers: int) -> None:
        for name in ("logs", "conf", "artifacts", "tmp"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        settings = _SETTINGS | {
            "jobmanager.rpc.port": str(self._ports["rpc"]),
            "rest.port": str(self._ports["rest"]),
            "taskmanager.numberOfTaskSlots": str(self._slots),
            "io.tmp.dirs": str(self._folder / "tmp"),
        }
        lines = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (self._conf / "config.yaml").write_text(lines, encoding="utf-8")
        (self._conf / "log4j.properties").write_text(_LOGGING, encoding="utf-8")
        self._start_java(
            "job-manager",
            ["-Xmx512m", "-XX:MaxMetaspaceSize=512m"],
            "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            ["--configDir", str(self._conf)],
        )
        for number in range(task_managers):
            self.start_worker_pool(number)
            self.start_task_manager(number)
        self._start_job_server()
        self._wait_for("job-manager", lambda: self._answers(0))
        for number in range(task_managers):
            self._wait_for(f"task-manager-{number}", partial(self._answers, number + 1))
            address = (_pool_address(number), self._ports["pool"])
            self._wait_for(f"worker-pool-{number}", partial(_listens, address))
        self._wait_for("job-server", lambda: _listens(("localhost", self._ports["job"])))

    def _start_job_server(self) -> None:
        self._start_process(
            "job-server",
            [
                *(self._software.java, "-Xmx768m", *_JAVA_OPENINGS, "-cp", f"{self._software.job_server_libraries}/*"),
                "org.apache.beam.runners.flink.FlinkJobServerDriver",
                f"--flink-master=localhost:{self._ports['rest']}",
                f"--artifacts-dir={self._folder / 'artifacts'}",
                *("--job-host=localhost", f"--job-port={self._ports['job']}"),
                *("--artifact-port=0", "--expansion-port=0"),
            ],
        )

    def _start_java(self, name: str, options: list[str], main_class: str, arguments: list[str]) -> None:
        logging = f"-Dlog4j.configurationFile=file:{self._conf / 'log4j.properties'}"
        temporary = f"-Djava.io.tmpdir={self._folder / 'tmp'}"
        # Flink's own classes first: the job server's folder has some of them, too.
        libraries = f"{self._software.flink_libraries}/*:{self._software.job_server_libraries}/*"
        command = [self._software.java, *options, *_JAVA_OPENINGS, logging, temporary, "-cp", libraries, main_class]
        self._start_process(name, [*command, *arguments])

    def _start_process(self, name: str, command: list[str]) -> None:
        # Beam starts workers as `python`: this must be the one that runs us.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(_PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}
        with (self._folder / "logs" / f"{name}.log").open("ab") as log:
            started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
            )
        self._processes[name] = Process(started.pid, psutil.Process(started.pid).create_time())
        state = {
            "slots": self._slots,
            "ports": self._ports,
            "processes": {part: asdict(process) for part, process in self._processes.items()},
        }
        (self._folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")

    def _wait_for(self, name: str, condition: Callable[[], bool]) -> None:
        def there_or_ended() -> bool:
            if not self._processes[name].is_alive():
                log = (self._folder / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise ClusterError(f"{name} ended at once:\n" + "\n".join(log.splitlines()[-15:]))
            return condition()

        self.wait_until(there_or_ended, name)

    def _answers(self, least_task_managers: int) -> bool:
        try:
            return self.task_managers() >= least_task_managers
        except OSError:
            return False


def _pool_address(number: int) -> str:
    return f"127.0.0.{2 + number}"


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
