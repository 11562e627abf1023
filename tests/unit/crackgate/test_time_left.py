"""Time left, in words."""

import pytest

from crackgate.time_left import time_left


@pytest.mark.parametrize(
    ("seconds", "done", "total", "words"),
    [
        (10, 1, 5, "40 s left"),
        (10, 5, 5, "0 s left"),
        (60, 1, 13, "12 min left"),
        (3600, 2, 9, "3.5 h left"),
    ],
)
def test_time_left(seconds: float, done: int, total: int, words: str) -> None:
    assert time_left(seconds, done, total) == words
