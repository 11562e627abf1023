"""Two images of different classes that look like one picture, for a person to judge."""

from pydantic import BaseModel, ConfigDict, Field


class ConflictImage(BaseModel):
    """One of the two.

    Attributes:
        path: Below the data folder; bytes that are no UTF-8 are written with backslashes.
        class_name: Its class folder, "class" in JSON.
        thumbnail: Data URI, or "" if there is none.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_alias=True, validate_by_name=True)

    path: str
    class_name: str = Field(validation_alias="class", serialization_alias="class")
    thumbnail: str


class LabelConflict(BaseModel):
    """A pair of images whose labels disagree.

    Attributes:
        rejected: Whether they show the same everywhere, and both were rejected; else they differ at a place, and both
            were ingested.
    """

    one: ConflictImage
    other: ConflictImage
    rejected: bool
