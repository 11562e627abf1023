"""Room for images that several threads decode at once: large images wait for each other."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from PIL import Image

# Bytes that a pixel takes while its image is decoded, measured on 20 megapixels: a JPEG that is progressive, turned or
# has a profile, a WebP with alpha, and others that are turned and have a profile.
_BYTES_OF_A_PIXEL = {"JPEG": 12, "MPO": 12, "WEBP": 20}
_BYTES_OF_ANOTHER_PIXEL = 16


class DecodingRoom:
    """So many bytes of memory, which threads share; an image that takes more has them alone."""

    def __init__(self, count: int):
        self._count = self._free = count
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Waits until there is room for so many bytes, and keeps it for the block."""
        wanted = min(count, self._count)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


# One image of 50 megapixels, whatever its format, or several smaller ones.
_ROOM = DecodingRoom(1_000_000_000)


def room_for(image: Image.Image) -> AbstractContextManager[None]:
    """Room in the memory that all threads of the process share, for the decoding of an image."""
    return room_for_pixels(image.width * image.height, str(image.format))


def room_for_pixels(pixels: int, file_format: str) -> AbstractContextManager[None]:
    """The same by the number of pixels, and Pillow's name of the format."""
    return _ROOM.taken(pixels * _BYTES_OF_A_PIXEL.get(file_format, _BYTES_OF_ANOTHER_PIXEL))
