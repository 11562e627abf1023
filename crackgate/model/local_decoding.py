"""From image files to the network's input without TensorFlow, bit for bit as a SavedModel's `decode` gives it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from crackgate.contracts.card import ReleaseCard
from crackgate.control_groups import usable_cores
from crackgate.images.image_file import viewer_pixels
from crackgate.images.rejection import RejectedImageError, scale_refusal
from crackgate.model.resize import scale_to_square


class Decoder(Protocol):
    """From image files of every format that ingest takes to pixels; any number of threads may ask at once."""

    def decode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str]]:
        """Decodes one file or more.

        Returns:
            float32 (images, size, size, 3), RGB, 0 to 255, zeros where there is an error; and the errors, "" for none.
        """


class LocalDecoder:
    """Pillow decodes, in threads."""

    def __init__(self, card: ReleaseCard):
        """Takes the card of the model that is asked."""
        self._size, self._limits, self._scale = card.image_size, card.limits, card.scale
        self._readers = ThreadPoolExecutor(usable_cores(), thread_name_prefix="reading images")

    def decode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str]]:
        """See `Decoder`."""
        pixels = np.zeros((len(images), self._size, self._size, 3), np.float32)
        return pixels, list(self._readers.map(self._decode, images, pixels))

    def _decode(self, image: bytes, pixels: np.ndarray) -> str:
        try:
            decoded = viewer_pixels(image, self._limits, self._scale)
        except RejectedImageError as rejection:
            return str(rejection)
        # The header of a HEIF image may say another size.
        height, width, _ = decoded.shape
        if self._scale is not None and not self._scale.takes(width, height):
            return str(scale_refusal(self._scale, width, height))
        pixels[:] = scale_to_square(decoded, self._size)
        return ""
