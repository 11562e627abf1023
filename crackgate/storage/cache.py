"""Listings of folders and prefixes that a process keeps for a while: what was checked is what is read, and reported."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from crackgate.storage.location import Location

_Listing = TypeVar("_Listing")

# By function and location; None outside the blocks of `listed_once`.
_listed: dict[tuple[Callable[[Any], Any], str], Any] | None = None


@contextmanager
def listed_once() -> Iterator[None]:
    """Within the block `cached` lists each place once."""
    global _listed
    before, _listed = _listed, {}
    try:
        yield
    finally:
        _listed = before


def cached(read: Callable[[Location], _Listing], location: Location) -> _Listing:
    """Returns `read(location)`; raises what it raises."""
    if _listed is None:
        return read(location)
    key = read, str(location)
    if key not in _listed:
        _listed[key] = read(location)
    found: _Listing = _listed[key]
    return found
