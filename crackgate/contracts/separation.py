"""A quality of the images that tells a class apart by itself: a finding of DataPage, part of the summary."""

from pydantic import BaseModel


class Separation(BaseModel):
    """One measured quality that tells the images of a class from all others.

    Attributes:
        quality: In words, such as "width".
        auc: Area under the ROC curve of a small decision tree on that quality alone, cross-validated, 0 to 1.
    """

    quality: str
    class_name: str
    auc: float

    def in_words(self) -> str:
        """The warning, in one sentence without its full stop."""
        return (
            f"{self.quality} alone tells class {self.class_name!r} from the rest (cross-validated AUC {self.auc:.3f}), "
            "so a model may learn that instead of cracks: take all classes with the same camera, size and light"
        )
