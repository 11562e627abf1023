"""The section `[data]`."""

import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from crackgate.config.section import Section, Share
from crackgate.contracts.image_limits import ImageLimits
from crackgate.storage.location import looks_like_url, parse_location

# Pydantic names the form in the place of an error.
CLASS_FORMS = ("<list>", "<table>")


def _form(classes: Any) -> str:
    return CLASS_FORMS[isinstance(classes, dict)]


_Classes = Annotated[
    Annotated[tuple[str, ...], Tag(CLASS_FORMS[0])] | Annotated[dict[str, tuple[str, ...]], Tag(CLASS_FORMS[1])],
    Discriminator(_form),
]


class SplitRatios(Section):
    """Hash buckets of each split: 70, 15 and 15 are 70%, 15% and 15% of the groups."""

    train: Annotated[int, Field(ge=1, le=1000, description="images the network learns from")] = 70
    eval: Annotated[int, Field(ge=1, le=1000, description="images that choose the model")] = 15
    test: Annotated[int, Field(ge=1, le=1000, description="images that the gate sees, and nothing before it")] = 15


class DataOptions(Section):
    """The images to read, and those to reject."""

    classes: Annotated[
        _Classes,
        Field(
            description="class folders in label order, or a table of classes with their folders; files outside do not "
            "count; empty: the folders say"
        ),
    ] = ()
    split: SplitRatios = SplitRatios()
    min_side: Annotated[int, Field(ge=1, le=100_000, description="smallest accepted width and height, pixels")] = (
        ImageLimits.min_side
    )
    # TensorFlow and Pillow decode no more, and no tf.Example may reach 2 GiB.
    max_pixels: Annotated[
        int, Field(ge=1, le=178_956_970, description="largest accepted width times height, pixels")
    ] = ImageLimits.max_pixels
    max_bytes: Annotated[int, Field(ge=1, le=1_000_000_000, description="largest accepted file, bytes")] = (
        ImageLimits.max_bytes
    )
    max_rejected_share: Annotated[Share, Field(description="share of rejected files that stops the run")] = 0.1
    max_imbalance: Annotated[
        Share, Field(description="difference of a class's share of a split from its share of all images, beyond chance")
    ] = 0.1
    copies: Annotated[
        Literal["group", "ignore"],
        Field(
            description="group: copies of one picture share a split, and are rejected if their classes disagree; so do "
            "images that overlap, which are never rejected; "
            "ignore: nobody looks for copies, and LeakCheck only counts them"
        ),
    ] = "group"
    group_by: Annotated[
        str, Field(description="pattern of paths (site, photograph, day) whose first group names an image's group")
    ] = ""
    labels: Annotated[
        str, Field(description="CSV with the columns path and label, maybe split and group; absolute or below the data")
    ] = ""

    @property
    def class_of_folder(self) -> dict[str, str]:
        """The class of each folder in `classes`, in label order; empty where the data folder decides."""
        if isinstance(self.classes, dict):
            return {folder: name for name, folders in self.classes.items() for folder in folders}
        return {name: name for name in self.classes}

    @property
    def limits(self) -> ImageLimits:
        """Bounds on single images."""
        return ImageLimits(self.min_side, self.max_pixels, self.max_bytes)

    @field_validator("labels")
    @classmethod
    def _has_a_client(cls, labels: str) -> str:
        return str(parse_location(labels)) if looks_like_url(labels) else labels

    @field_validator("group_by")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("classes")
    @classmethod
    def _usable(
        cls, classes: tuple[str, ...] | dict[str, tuple[str, ...]]
    ) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
        folders = [folder for name in classes.values() for folder in name] if isinstance(classes, dict) else classes
        names = [*folders, *classes]
        if classes and (
            len(classes) < 2 or len(set(folders)) < len(folders) or any(not name or "/" in name for name in names)
        ):
            raise ValueError("give two or more different names of folders, without '/', or none")
        if isinstance(classes, dict) and not all(classes.values()):
            raise ValueError("give each class at least one folder")
        return classes
