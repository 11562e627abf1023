"""The number of images that are read at once."""

# Threads of a core for a store, which takes some hundredths of a second to answer. Many more at once would share a slow
# line until no object arrives in time.
_WAITING, _MOST_WAITING = 8, 32


def count_threads(cores: int, is_stored: bool) -> int:
    """The threads of a process with so many cores, for files, or for objects in a store."""
    return max(cores, min(_WAITING * cores, _MOST_WAITING)) if is_stored else cores
