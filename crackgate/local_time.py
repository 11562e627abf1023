"""Times and durations for people."""

from datetime import UTC, datetime, timezone
from typing import Annotated

from pydantic import AfterValidator

# Every clock and zone can show these.
_YEARS = range(1970, 9999)


def _check_moment(text: str) -> str:
    if datetime.fromisoformat(text).year not in _YEARS:
        raise ValueError(f"received {text!r}, allowed are the years {_YEARS.start} to {_YEARS.stop - 1}")
    return text


# A moment in ISO 8601, as a stored record has it.
Moment = Annotated[str, AfterValidator(_check_moment)]


def say_time(moment: str) -> str:
    """A moment in ISO 8601 in this machine's time, with the zone: "2026-11-30 14:41 UTC+01:00"."""
    local = datetime.fromisoformat(moment).astimezone()
    # Names of zones are not unique: an offset is.
    offset = local.utcoffset()
    return f"{local:%Y-%m-%d %H:%M} {timezone(offset) if offset else UTC}"


def say_duration(seconds: float) -> str:
    """For instance "40 s" or "3 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
