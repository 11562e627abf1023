import os
import signal
import time

import pytest

from pipeline.interruption import interruptible


class Deaf:
    """Python drops what is raised in a destructor."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_that_was_dropped_is_repeated_until_it_is_heard() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        deaf = Deaf()
        del deaf
        dropped = True
        time.sleep(5)
    assert dropped


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_what_was_before_is_restored(name: signal.Signals) -> None:
    before = signal.getsignal(name)
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), name)
        time.sleep(5)
    assert signal.getsignal(name) is before
    # No repetition is left over.
    time.sleep(1.2)
