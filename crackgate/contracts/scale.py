"""The scale of a model's training images: which sizes of images it can be asked about."""

import math
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np

# An image may be so many times larger or smaller, longer or squarer, than every training image.
TOLERANCE = 1.5
# From here on, the largest side as a multiple of the smallest one is worth a warning.
_MIXED = 3.0


class Spread(BaseModel):
    """The smallest, the median and the largest of some values."""

    model_config = ConfigDict(frozen=True, strict=True)

    smallest: float
    median: float
    largest: float


class TrainedScale(BaseModel):
    """Sizes of the training images; a turned image has the same.

    Attributes:
        images: How many there are.
        sides: Their widths and heights together, in pixels.
        elongations: The longer side of each, over the shorter one: 1 or more.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    images: int
    sides: Spread
    elongations: Spread

    @classmethod
    def of(cls, sizes: "np.ndarray") -> Self:
        """The scale of one image or more; `sizes` is int (images, 2), width and height in pixels."""
        return cls(images=len(sizes), sides=_spread(sizes), elongations=_spread(sizes.max(axis=1) / sizes.min(axis=1)))

    @property
    def allowed_sides(self) -> tuple[int, int]:
        """The smallest and the largest side, in pixels, of an image that the model can be asked about."""
        return math.ceil(self.sides.smallest / TOLERANCE), math.floor(self.sides.largest * TOLERANCE)

    @property
    def allowed_elongations(self) -> tuple[float, float]:
        """The least and the greatest elongation of such an image."""
        return max(1.0, self.elongations.smallest / TOLERANCE), self.elongations.largest * TOLERANCE

    @property
    def tile(self) -> int:
        """Side in pixels of a square that shows about as much surface as a training image."""
        return round(self.sides.median)

    @property
    def smallest_size(self) -> tuple[int, int]:
        """Width and height of the smallest image of the usual shape that the model can be asked about."""
        side, _ = self.allowed_sides
        return round(side * self.elongations.median), side

    @property
    def allowed_in_words(self) -> str:
        """For instance "sides of 152 to 340 and shapes up to 1.5 to 1"."""
        low, high = self.allowed_sides
        squarest, longest = self.allowed_elongations
        shape = f"up to {longest:.3g} to 1" if squarest == 1 else f"from {squarest:.3g} to 1 up to {longest:.3g} to 1"
        return f"sides of {low} to {high} and shapes {shape}"

    @property
    def refusal(self) -> str:
        """Why an image is refused; both "{}" stand for its width and its height."""
        return (
            f"out of scale: {{}}x{{}} pixels, allowed are {self.allowed_in_words}, since the model was trained on "
            f"{self.in_words()}: 'crackgate inspect' looks at a larger photograph tile by tile"
        )

    def takes(self, width: int, height: int) -> bool:
        """Whether the model can be asked about an image of this size."""
        shorter, longer = sorted((width, height))
        low, high = self.allowed_sides
        squarest, longest = self.allowed_elongations
        return low <= shorter and longer <= high and squarest * shorter <= longer <= longest * shorter

    def in_words(self) -> str:
        """For instance "sides of 200 to 454 pixels (median 227)"."""
        sides = self.sides
        if sides.smallest == sides.largest:
            return f"sides of {sides.median:,.0f} pixels"
        return f"sides of {sides.smallest:,.0f} to {sides.largest:,.0f} pixels (median {sides.median:,.0f})"

    def warning(self) -> str | None:
        """A sentence about training images of very different scales; None where they are alike."""
        times = self.sides.largest / self.sides.smallest
        if times <= _MIXED:
            return None
        return (
            f"the training images have {self.in_words()}: all are scaled to one size, so that the same crack is "
            f"{times:.1f} times as wide in one as in another, and an image of any of these scales is taken later. Cut "
            "large photographs into tiles of the usual size"
        )


def _spread(values: "np.ndarray") -> Spread:
    # The command line reads cards, and starts without NumPy.
    import numpy as np

    return Spread(smallest=float(values.min()), median=float(np.median(values)), largest=float(values.max()))
