"""The classifier's card: what a model says of itself. Without heavy imports: a wrong folder is refused at once."""

import json
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import CARD_FILE
from crackgate.contracts.positive_names import PositiveNames
from crackgate.contracts.scale import TrainedScale
from crackgate.regular_file import open_regular

# Pixels of a side: a batch of images has to fit into memory.
MOST_IMAGE_SIZE = 1024


class CardError(ValueError):
    """A card that is there and cannot be read."""


class NotAReleaseError(ValueError):
    """A folder that holds no released model."""


class ClassifierCard(BaseModel):
    """The card of a model that may come from anywhere.

    Attributes:
        classes: Names in label order.
        positive_classes: Those that must not be missed, in label order; empty: the highest score decides.
        threshold: The sum of their scores from which on an image is positive, 0 to 1; None where there are none.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    classes: list[str]
    positive_classes: PositiveNames = ()
    threshold: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _check_positive_classes(self) -> Self:
        if self.positive_classes != tuple(name for name in self.classes if name in self.positive_classes):
            raise ValueError(
                f"its positive classes, {', '.join(map(repr, self.positive_classes))}, are not some of its classes, in "
                "their order"
            )
        if self.positive_classes and len(self.positive_classes) == len(self.classes):
            raise ValueError("all of its classes are positive, which leaves nothing to decide")
        return self

    @property
    def positive_labels(self) -> tuple[int, ...]:
        """Labels of the positive classes, ascending."""
        return tuple(map(self.classes.index, self.positive_classes))


class FamiliarityCard(BaseModel):
    """How the model knows that an image is unlike those that it was trained on: its `unfamiliarity` is above 1.

    Attributes:
        train_images: Number of training images whose textures are described.
        eval_images: Number of others, which set the limit.
        eval_beyond: How many of these are beyond it.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    train_images: int
    eval_images: int
    eval_beyond: int


class ReleaseCard(ClassifierCard):
    """The card of a model that the Trainer exported; its scores are softmax(logits / temperature + bias).

    Attributes:
        image_size: Side of the network's square input, in pixels.
        bias: One number per class.
        stride: Pixels between two values of the SavedModel's `feature_map`; None: it has no such map.
        scale: Sizes of the training images; None: an older release, which takes images of any size.
        limits: Bounds on single images, those of ingest.
        network_input: How an image becomes the network's input, in words.
        familiarity: What the model knows of its training images; None: it cannot tell an unfamiliar image.
    """

    image_size: int = Field(ge=1, le=MOST_IMAGE_SIZE)
    temperature: float | None = None
    bias: tuple[float, ...] | None = None
    stride: int | None = Field(default=None, ge=1)
    scale: TrainedScale | None = None
    limits: ImageLimits = ImageLimits()
    network_input: str = ""
    familiarity: FamiliarityCard | None = None

    @model_validator(mode="after")
    def _check_decision(self) -> Self:
        if bool(self.positive_classes) != (self.threshold is not None):
            raise ValueError("it has one of positive_classes and threshold: both are needed, or neither")
        return self

    @property
    def scale_note(self) -> str | None:
        """A sentence for users of a release that cannot tell whether an image has its scale; None for all others."""
        if self.scale is not None:
            return None
        return (
            "this release does not say how large its training images were: images of any size are scored, and a whole "
            "photograph may hide its cracks; train and release anew to have such images refused"
        )

    def write(self, folder: Path) -> None:
        """Writes the card into the folder of a SavedModel."""
        file = folder / CARD_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.model_dump(), indent=2), encoding="utf-8")


def find_card(folder: Path) -> ClassifierCard | None:
    """The card of a model from anywhere, None where it has none; raises CardError where it cannot be read."""
    return _read(ClassifierCard, folder) if (folder / CARD_FILE).is_file() else None


def read_card(folder: Path) -> ReleaseCard:
    """The card of a released version. Raises NotAReleaseError where there is none or `find_card` would raise."""
    try:
        return _read(ReleaseCard, folder)
    except CardError as error:
        raise NotAReleaseError(f"{str(folder)!r} is no model that crackgate exported: {error}") from error


# A card has some kilobytes.
_MOST_BYTES = 16 * 2**20
_Card = TypeVar("_Card", bound=ClassifierCard)


def _read(kind: type[_Card], folder: Path) -> _Card:
    file = folder / CARD_FILE
    try:
        with open_regular(file, follow_links=True) as content:
            return kind.model_validate_json(content.read(_MOST_BYTES))
    except OSError as error:
        raise CardError(f"cannot read {str(file)!r}: {error.strerror}") from error
    except ValidationError as error:
        raise CardError(f"cannot read {str(file)!r}: {_describe(kind, error)}") from error


def _describe(kind: type[ClassifierCard], error: ValidationError) -> str:
    problem = error.errors()[0]
    field = ".".join(map(str, problem["loc"]))
    if problem["type"] in ("missing", "model_type"):
        required = [name for name, info in kind.model_fields.items() if info.is_required()]
        return f"it holds no {' and no '.join(map(repr, [field] if field else required))}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{field}: received {problem['input']!r}: {message}" if field else message
