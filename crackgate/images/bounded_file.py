"""The bytes of an image file, whose reader may not take minutes for its structure."""

import io

from crackgate.images.rejection import RejectedImageError

# Parts that Pillow reads in Python, one by one: segments, chunks, blocks, runs, and each byte that belongs to none. So
# many take some tenths of a second. A photograph has some hundred, a large PNG one for each thousand bytes, and a
# GIF two for each 256.
_MOST_PARTS = 2**17
_BYTES_OF_A_PART = 128


class BoundedFile(io.BytesIO):
    """Ends the work of whoever reads it in too many parts, by a RejectedImageError."""

    def __init__(self, data: bytes):
        super().__init__(data)
        self._size = len(data)
        self._most = self._left = _MOST_PARTS + len(data) // _BYTES_OF_A_PART

    def read(self, size: int | None = -1, /) -> bytes:
        """See `io.BytesIO`."""
        self._count()
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """See `io.BytesIO`."""
        self._count()
        return super().readline(size)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise too_many_parts(self._size, self._most)


def too_many_parts(size: int, most: int) -> RejectedImageError:
    """The refusal of a file of `size` bytes that are in more than `most` parts."""
    return RejectedImageError(
        "too large", f"its {size} bytes are in more than {most} parts: save it again, as JPEG or PNG"
    )
