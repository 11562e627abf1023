"""The progress of a run: a live line per component on a terminal, plain lines elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from crackgate.contracts.log_record import LASTING
from crackgate.pages.shown_text import show
from pipeline.peak_memory import PeakMemory

# Seconds between two plain lines about the same component.
PLAIN_INTERVAL = 10


def print_warning(console: Console, sentence: str) -> None:
    """Prints a warning on one line."""
    console.print(f"[yellow]warning:[/] {escape(sentence)}", highlight=False, soft_wrap=True)


class LiveDisplay:
    """For terminals: a spinner and a running clock."""

    def __init__(self, console: Console):
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<18}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False, table_column=Column(overflow="fold")),
            console=console,
        )
        self._component, self._task = "", TaskID(0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, component: str) -> None:
        """Adds a line for a component that begins."""
        self._component, self._task = component, self._progress.add_task(component, total=1, detail="")

    def tell(self, detail: str) -> None:
        """Writes the component's progress beside the clock."""
        self._progress.update(self._task, detail=detail)

    def keep(self, detail: str) -> None:
        """Prints what the component came to above the lines."""
        self._progress.console.print(f"{self._component}: {detail}", markup=False, highlight=False, soft_wrap=True)

    def warn(self, sentence: str) -> None:
        """Prints a warning above the lines."""
        print_warning(self._progress.console, sentence)

    def finish(self, outcome: str, seconds: float) -> None:  # noqa: ARG002 - the line has its own clock
        """Stops the clock; the outcome is "done", "cached" or "failed"."""
        self._progress.update(self._task, completed=1, detail="" if outcome == "done" else outcome)
        self._progress.stop_task(self._task)


class PlainDisplay:
    """For logs and pipes: one line per event, progress at most every `PLAIN_INTERVAL` seconds."""

    def __init__(self, console: Console):
        self._console = console
        self._component = ""
        self._last_told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, component: str) -> None:
        """Prints the name."""
        self._component = component
        self._last_told = time.monotonic()
        self._print(f"{component} ...")

    def tell(self, detail: str) -> None:
        """Prints the detail, if the last line is old enough."""
        if time.monotonic() - self._last_told >= PLAIN_INTERVAL:
            self.keep(detail)

    def keep(self, detail: str) -> None:
        """Prints the detail."""
        self._last_told = time.monotonic()
        self._print(f"{self._component}: {detail}")

    def warn(self, sentence: str) -> None:
        """Prints a warning."""
        print_warning(self._console, sentence)

    def finish(self, outcome: str, seconds: float) -> None:
        """Prints the outcome."""
        self._print(f"{self._component} {outcome} in {seconds:.1f} s")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


Display = LiveDisplay | PlainDisplay


class ComponentEvents(logging.Handler):
    """Turns log records into component events, and measures the components' time and memory.

    LocalDagRunner logs the start and end of components; their progress comes from the logger "crackgate". By component
    id, `seconds` has the durations, `peak_memory` the peaks in bytes. `on_work` has the calls for a component that
    begins to work; a cached one makes no call.
    """

    def __init__(self, display: Display):
        super().__init__(logging.INFO)
        self.seconds: dict[str, float] = {}
        self.peak_memory: dict[str, int] = {}
        self.on_work: dict[str, Callable[[], None]] = {}
        self._display = display
        self._component: str | None = None
        self._started = 0.0
        self._memory: PeakMemory | None = None
        self._cached = False

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at one log record."""
        if record.name == "crackgate" and record.levelno >= logging.WARNING:
            self._display.warn(record.getMessage())
        elif record.name == "crackgate" and LASTING.items() <= vars(record).items():
            self._display.keep(record.getMessage())
        elif record.name == "crackgate":
            # Progress is no text of the console's.
            self._display.tell(show(record.getMessage()))
        elif record.msg == "Component %s is running." and isinstance(record.args, tuple):
            self._start(str(record.args[0]))
        elif record.msg == "A cached execution %d is used.":
            self._cached = True
        elif record.msg == "Going to run a new execution %d" and self._component in self.on_work:
            self.on_work[self._component]()
        elif record.msg == "Component %s is finished.":
            self.end("cached" if self._cached else "done")

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Shows and times a step that is no component."""
        self._start(step)
        yield
        self.end("done")
        del self.seconds[step], self.peak_memory[step]

    def end(self, outcome: str) -> str | None:
        """Ends the running component, if any, and returns its id."""
        component, self._component = self._component, None
        if component is not None and self._memory is not None:
            self.seconds[component] = time.monotonic() - self._started
            self.peak_memory[component] = self._memory.stop()
            self._display.finish(outcome, self.seconds[component])
        return component

    def _start(self, component: str) -> None:
        self._component, self._started, self._cached = component, time.monotonic(), False
        self._memory = PeakMemory()
        self._display.start(component)
