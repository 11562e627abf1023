"""No thread sees the half of a module that another one is importing."""

import sys
import threading
from pathlib import Path

import pytest

from crackgate.import_lock import import_alone

# As TensorFlow's: the whole needs the part, and the part what the whole has by then.
_WHOLE = """
import threading
may_go_on = threading.Event()
made = 1
assert may_go_on.wait(30)
import crackgate_whole.part
doubled = crackgate_whole.part.twice
"""
_PART = """
from crackgate_whole import made
twice = 2 * made
"""


def test_a_part_waits_until_another_thread_has_imported_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crackgate_whole").mkdir()
    (tmp_path / "crackgate_whole" / "__init__.py").write_text(_WHOLE)
    (tmp_path / "crackgate_whole" / "part.py").write_text(_PART)
    monkeypatch.syspath_prepend(str(tmp_path))
    doubled: list[int] = []

    def run(name: str, attribute: str) -> None:
        doubled.append(getattr(import_alone(name), attribute))

    first = threading.Thread(target=run, args=["crackgate_whole", "doubled"])
    second = threading.Thread(target=run, args=["crackgate_whole.part", "twice"])
    first.start()
    while not hasattr(sys.modules.get("crackgate_whole"), "may_go_on"):
        first.join(0.01)
    second.start()
    # Unless it waits, it begins the part, which waits for the whole, which waits for the part.
    second.join(0.2)
    sys.modules["crackgate_whole"].may_go_on.set()
    first.join()
    second.join()
    for name in ("crackgate_whole", "crackgate_whole.part"):
        sys.modules.pop(name, None)
    assert doubled == [2, 2]
