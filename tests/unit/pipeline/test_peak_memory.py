import subprocess
import sys
import time

from pipeline import peak_memory
from pipeline.peak_memory import PeakMemory

MIB = 1 << 20
SIZE = 200 * MIB


def test_a_peak_that_is_over_at_the_end_counts() -> None:
    before = PeakMemory().stop()
    watch = PeakMemory()
    block = bytearray(SIZE)
    time.sleep(4 * peak_memory.INTERVAL)
    del block
    assert 0.8 * SIZE < watch.stop() - before < 3 * SIZE


def test_the_memory_of_children_counts() -> None:
    before = PeakMemory().stop()
    watch = PeakMemory()
    code = f"block = bytearray({SIZE}); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        during = watch.stop()
        child.communicate(b"\n")
    assert during - before > 0.8 * SIZE
    assert PeakMemory().stop() - before < 0.5 * SIZE, "it has ended"
