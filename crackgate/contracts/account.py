"""The account of a data folder: what became of every file in it."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crackgate.contracts.stored_example import SPLITS

NOT_IN_CLASS_FOLDER = "not in a class folder"
LABEL_CONFLICT = "label conflict"


class AccountRow(BaseModel):
    """A file that was rejected, or an image that was taken with a warning.

    Attributes:
        path: Below the data folder; bytes that are no UTF-8 are written with backslashes.
        class_name: Its class folder, "class" in JSON; "" beside the class folders.
        reason: One of few, such as "truncated"; the detail is about this file.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_alias=True, validate_by_name=True)

    path: str
    class_name: str = Field(validation_alias="class", serialization_alias="class")
    reason: str
    detail: str = ""


class Account(BaseModel):
    """Every file below a data folder that may be a photograph: found = ingested + rejected.

    Attributes:
        ignored: Other files by their kind, such as "videos": they are neither found nor rejected.
        groups: Images that stay together in one split: copies of one picture, images that overlap, or one name that
            `data.group_by` finds.
        warnings: Ingested images that were not taken whole, such as the first of several frames, or that
            resemble one of another class.
        splits: Images of each class in each split.
    """

    found: int = 0
    ingested: int = 0
    ignored: dict[str, int] = Field(default_factory=dict)
    groups: int = 0
    rejected: list[AccountRow] = Field(default_factory=list)
    warnings: list[AccountRow] = Field(default_factory=list)
    splits: dict[str, dict[str, int]] = Field(default_factory=dict)

    @field_validator("splits")
    @classmethod
    def _order_splits(cls, splits: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        """TFX sorts the keys of JSON artifacts."""
        return {split: splits[split] for split in SPLITS if split in splits}
