"""Times are those of this machine, with the zone."""

import time
from collections.abc import Iterator

import pytest

from crackgate.local_time import say_time


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "moment", "said"),
    [
        ("UTC", "2026-11-30T14:41:59+00:00", "2026-11-30 14:41 UTC"),
        ("UTC", "2026-11-30T14:41:00+0100", "2026-11-30 13:41 UTC"),
        ("Europe/Berlin", "2026-11-30T14:41:00+00:00", "2026-11-30 15:41 UTC+01:00"),
        ("Europe/Berlin", "2026-07-30T23:41:00+00:00", "2026-07-31 01:41 UTC+02:00"),
        ("America/St_Johns", "2026-11-30T14:41:00+00:00", "2026-11-30 11:11 UTC-03:30"),
    ],
    indirect=["zone"],
)
@pytest.mark.usefixtures("zone")
def test_a_moment_is_said_with_its_zone(moment: str, said: str) -> None:
    assert say_time(moment) == said
