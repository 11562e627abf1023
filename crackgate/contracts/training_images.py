"""How much of the training images a model has learnt from."""

from pydantic import BaseModel, ConfigDict

from crackgate.plural import counted


class TrainingImages(BaseModel):
    """Numbers of images of the train split, and of the views that were made of them.

    Attributes:
        available: Images of the split.
        learnt_from: Those that the weights depend on.
        views: Versions of them, as they are or augmented, without those of another epoch.
    """

    model_config = ConfigDict(frozen=True)

    available: int
    learnt_from: int
    views: int

    def in_words(self) -> str:
        """For instance "learnt from all 7,000 images, in 7,000 views"."""
        every = self.learnt_from == self.available
        share = "all " if every else f"only {self.learnt_from:,} of "
        return f"learnt from {share}{counted(self.available, 'image')}, in {counted(self.views, 'view')}"
