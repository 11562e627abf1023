"""How the decision threshold was chosen: a part of the training report, the summary and the report."""

from pydantic import BaseModel

from crackgate.plural import counted

# Images that a sentence names.
_NAMED = 5


class EvalImage(BaseModel):
    """One eval image: its path below the data folder, its folder's class, and its positive score, 0 to 1."""

    path: str
    actual: str
    score: float

    def in_words(self) -> str:
        """Path, class and score."""
        return f"{self.path!r} ({self.actual}, score {self.score:.4f})"


class ThresholdFindings(BaseModel):
    """The decision threshold, and what it does on the eval images that it was chosen on.

    Attributes:
        positive_classes: Names of the classes whose summed scores are the positive score.
        threshold: From this positive score on an image is positive, 0 to 1.
        target_recall: `train.target_recall`.
        least_precision: `train.least_precision`.
        positives: Images of the positive classes.
        found: Those of them that are called positive.
        given_up: Positive images that `target_recall` asks for and the threshold does not find; 0 when it is followed.
        precision_at_target: The precision that `target_recall` would have had at any price.
        recall_shown: The recall that new images will reach, too, with 95 % confidence.
        positives_needed: Positive images, all found, that would show the wanted recall; None: no number would.
        lowest_found: The positive image with the lowest score that is found; None where none is.
        misclassified: Eval images on the wrong side of the threshold.
        check_labels: At most 20 of them, the surest mistake first. Their labels may be wrong.
    """

    positive_classes: list[str]
    threshold: float
    target_recall: float
    least_precision: float
    positives: int
    found: int
    precision: float
    recall: float
    given_up: int
    precision_at_target: float
    recall_shown: float
    positives_needed: int | None
    lowest_found: EvalImage | None
    misclassified: int
    check_labels: list[EvalImage]

    def sentences(self) -> list[str]:
        """The findings, sentence by sentence."""
        lowest = f", of which the lowest is {self.lowest_found.in_words()}" if self.lowest_found else ""
        said = [
            f"the decision threshold is {self.threshold:.6f}: on eval, {self.found:,} of {self.positives:,} positive "
            f"images are found at a precision of {self.precision:.4f}{lowest}"
        ]
        said += self.say_given_up()
        if self.precision < self.least_precision:
            said.append(
                f"the wanted precision, train.least_precision = {self.least_precision:g}, is not "
                "reached: a threshold that does makes as many mistakes or more"
            )
        if len(said) > 1:
            said += self.say_labels()
        if self.recall_shown < self.target_recall:
            needed = "no number of them" if self.positives_needed is None else f"{self.positives_needed:,} or more"
            said.append(
                f"a recall of {self.recall_shown:.4f} is shown with 95 % confidence by "
                f"{counted(self.positives, 'positive image')}, not the wanted {self.target_recall:g}: "
                f"that takes {needed}"
            )
        return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in said]

    def say_given_up(self) -> list[str]:
        """How far `target_recall` was not followed, and why; nothing when it was."""
        if not self.given_up:
            return []
        reason = (
            f"train.least_precision is {self.least_precision:g}"
            if self.precision_at_target < self.least_precision
            else "hardly any image that this adds is a positive one"
        )
        return [
            f"the wanted recall, train.target_recall = {self.target_recall:g}, is not followed: it asks for "
            f"{counted(self.given_up, 'more positive image')}, with which the precision would be "
            f"{self.precision_at_target:.4f}, and {reason}"
        ]

    def say_labels(self) -> list[str]:
        """The eval images whose labels are worth a look; nothing when the threshold gets all of them right."""
        if not self.check_labels:
            return []
        named = ", ".join(image.in_words() for image in self.check_labels[:_NAMED])
        more = self.misclassified - len(self.check_labels[:_NAMED])
        return [
            f"check these labels of eval, which the model contradicts most surely: {named}"
            + (f", and {more:,} more" if more else "")
        ]
