import io
import logging
import re

import pytest
from rich.console import Console

from crackgate.contracts.log_record import LASTING
from pipeline import progress
from pipeline.progress import ComponentEvents, LiveDisplay, PlainDisplay

TFX = logging.getLogger("absl")
OURS = logging.getLogger("crackgate")


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def send(events: ComponentEvents, logger: logging.Logger, message: str, *arguments: object) -> None:
    events.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, message, arguments, None))


def test_components_are_told_by_what_local_dag_runner_logs(console: Console) -> None:
    events = ComponentEvents(PlainDisplay(console))
    send(events, TFX, "Component %s is running.", "Trainer")
    send(events, TFX, "A cached execution %d is used.", 7)
    send(events, TFX, "Component %s is finished.", "Trainer")
    send(events, TFX, "Component %s is running.", "Pusher")
    send(events, TFX, "Something else about %s.", "Pusher")
    send(events, TFX, "Component %s is finished.", "Pusher")
    assert list(events.seconds) == list(events.peak_memory) == ["Trainer", "Pusher"]
    assert all(memory > 10_000_000 for memory in events.peak_memory.values())
    assert re.sub(r"\d+\.\d s", "N s", shown(console)).splitlines() == [
        "Trainer ...",
        "Trainer cached in N s",
        "Pusher ...",
        "Pusher done in N s",
    ]


def test_what_is_to_last_stays_on_pipes_and_terminals_and_the_rest_gives_way() -> None:
    plain, terminal = Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True, width=60)
    for display in (PlainDisplay(plain), LiveDisplay(terminal)):
        events = ComponentEvents(display)
        with display:
            send(events, TFX, "Component %s is running.", "Trainer")
            send(events, OURS, "fine-tuning, epoch 1 of 3: [loss] 0.5")
            record = OURS.makeRecord("crackgate", logging.INFO, "", 0, "fine-tuning, 3 epochs: [loss] 0.1", (), None)
            vars(record).update(LASTING)
            events.handle(record)
            send(events, TFX, "Component %s is finished.", "Trainer")
    assert re.fullmatch(
        r"Trainer \.\.\.\nTrainer: fine-tuning, 3 epochs: \[loss\] 0\.1\nTrainer done in .* s\n", shown(plain)
    ), "the epoch comes too soon after the beginning for a line of its own"
    erased = "\x1b[2K"
    assert f"{erased}Trainer: fine-tuning, 3 epochs: [loss] 0.1\n" in shown(terminal), "a line of its own"


def test_the_runner_still_logs_what_the_events_listen_for() -> None:
    import inspect

    from tfx.orchestration.local import local_dag_runner
    from tfx.orchestration.portable import launcher

    runner = inspect.getsource(local_dag_runner)
    assert "'Component %s is running.'" in runner and "'Component %s is finished.'" in runner
    assert "'A cached execution %d is used.'" in inspect.getsource(launcher)
    assert "'Going to run a new execution %d'" in inspect.getsource(launcher)


def test_what_is_to_be_done_with_a_component_is_done_when_it_works_not_when_it_is_cached(console: Console) -> None:
    events = ComponentEvents(PlainDisplay(console))
    done: list[str] = []
    events.on_work["Evaluator"] = lambda: done.append("done")
    for component, message in (
        ("Trainer", "Going to run a new execution %d"),
        ("Evaluator", "A cached execution %d is used."),
    ):
        send(events, TFX, "Component %s is running.", component)
        send(events, TFX, message, 7)
        send(events, TFX, "Component %s is finished.", component)
    assert not done
    send(events, TFX, "Component %s is running.", "Evaluator")
    send(events, TFX, "Going to run a new execution %d", 8)
    assert done == ["done"]


def test_the_component_that_failed_is_known_and_timed(console: Console) -> None:
    events = ComponentEvents(PlainDisplay(console))
    assert events.end("failed") is None, "nothing runs yet"
    send(events, TFX, "Component %s is running.", "DataGate")
    assert events.end("failed") == "DataGate"
    assert "DataGate failed in" in shown(console) and "DataGate" in events.seconds


def test_start_up_is_shown_but_is_no_component(console: Console) -> None:
    events = ComponentEvents(PlainDisplay(console))
    with events.timed("starting TFX"):
        pass
    assert events.seconds == events.peak_memory == {} and "starting TFX done" in shown(console)


def test_plain_lines_about_progress_come_now_and_then(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    events = ComponentEvents(PlainDisplay(console))
    send(events, TFX, "Component %s is running.", "Trainer")
    send(events, OURS, "%d of %d", 1, 10)
    assert "1 of 10" not in shown(console)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0)
    send(events, OURS, "%d of %d", 2, 10)
    assert "Trainer: 2 of 10" in shown(console)


def test_a_terminal_shows_every_component_with_its_clock() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    display = LiveDisplay(console)
    events = ComponentEvents(display)
    with display:
        send(events, TFX, "Component %s is running.", "Trainer")
        send(events, OURS, "epoch [%d]", 3)
        send(events, TFX, "Component %s is finished.", "Trainer")
    assert "Trainer" in shown(console) and "0:00:00" in shown(console)
