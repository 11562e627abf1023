"""The scale of the training images, and the other images that are out of it."""

from pydantic import BaseModel, ConfigDict, Field

from crackgate.contracts.scale import TrainedScale


class OutOfScale(BaseModel):
    """Images of one split that a model trained on the train split would refuse.

    Attributes:
        images: How many.
        of: Images of the split.
        named: Some of them, as "'path' (width x height)".
    """

    model_config = ConfigDict(frozen=True)

    split: str
    images: int
    of: int
    named: list[str]


class ScaleFindings(BaseModel):
    """What DataPage finds about the images' sizes; `trained` is None without a training image."""

    model_config = ConfigDict(frozen=True)

    trained: TrainedScale | None = None
    outside: list[OutOfScale] = Field(default_factory=list)

    @property
    def warning(self) -> str | None:
        """A sentence about training images of very different scales."""
        return self.trained.warning() if self.trained else None

    def faults(self) -> list[str]:
        """A sentence for each split with images that the model would refuse."""
        if self.trained is None:
            return []
        low, high = self.trained.allowed_sides
        return [
            f"split {part.split!r}: {part.images} of {part.of} images are out of the scale of the training images, "
            f"which have {self.trained.in_words()}; the model would refuse them, and take sides of {low} to {high} and "
            f"shapes up to {self.trained.allowed_elongations[1]:.3g} to 1: {', '.join(part.named)}; cut them into "
            f"tiles of about {self.trained.tile} pixels, remove them, or train on such images, too"
            for part in self.outside
        ]
