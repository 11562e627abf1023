"""The scale of the training images, and the other images that are out of it."""

from pydantic import BaseModel, ConfigDict, Field

from crackgate.contracts.scale import TrainedScale


class OutOfScale(BaseModel):
    """Images of one split that a model trained on the train split would refuse.

    Attributes:
        images: How many.
        of: Images of the split.
        named: One of each of up to five sizes, as "'path' (width x height)", with the number of others of its size.
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
            f"which have {self.trained.in_words()}; the model would refuse them, and take "
            f"{self.trained.allowed_in_words}: {', '.join(part.named)}; cut them into tiles of about "
            f"{self.trained.tile} pixels, remove them, train on such images, too, or have those of other sides "
            f"rejected by name in every split (data.min_side = {low}, data.max_pixels = {high * high})"
            for part in self.outside
        ]
