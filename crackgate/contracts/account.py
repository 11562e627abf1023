"""The account of a data folder: what became of every file in it."""

from collections import Counter
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crackgate.contracts.stored_example import SPLITS

# Files that an account lists by name for each reason; it counts all of them.
LISTED = 1_000
# Groups of images that overlap which an account lists, and images of each.
LISTED_OVERLAPS, LISTED_MEMBERS = 12, 6
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
        overlapping_groups: Groups of images that overlap, so that they may show the same place.
        overlapping: Paths in such groups, the largest first; of copies in a group only the first. Bytes that are no
            UTF-8 are written with backslashes.
        rejected: For each reason the first `LISTED` files, by path.
        rejected_by_reason: The number of all rejected files, by reason.
        warnings: Ingested images that were not taken whole, such as the first of several frames, or that
            resemble one of another class; for each reason the first `LISTED`.
        warnings_by_reason: The number of all warnings, by reason.
        splits: Images of each class in each split.
    """

    found: int = 0
    ingested: int = 0
    ignored: dict[str, int] = Field(default_factory=dict)
    groups: int = 0
    overlapping_groups: int = 0
    overlapping: list[list[str]] = Field(default_factory=list)
    rejected: list[AccountRow] = Field(default_factory=list)
    rejected_by_reason: dict[str, int] = Field(default_factory=dict)
    warnings: list[AccountRow] = Field(default_factory=list)
    warnings_by_reason: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, dict[str, int]] = Field(default_factory=dict)

    @field_validator("splits")
    @classmethod
    def _order_splits(cls, splits: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        """Ours, then others by name: TFX sorts the keys of JSON artifacts."""
        names = [*(split for split in SPLITS if split in splits), *sorted(splits.keys() - set(SPLITS))]
        return {split: splits[split] for split in names}

    @field_validator("rejected_by_reason", "warnings_by_reason")
    @classmethod
    def _order_reasons(cls, counts: dict[str, int]) -> dict[str, int]:
        """The most frequent first."""
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @model_validator(mode="after")
    def _count_rows(self) -> Self:
        """Counts the rows of an account that lists all of them."""
        self.rejected_by_reason = self.rejected_by_reason or _count(self.rejected)
        self.warnings_by_reason = self.warnings_by_reason or _count(self.warnings)
        return self

    @property
    def rejected_count(self) -> int:
        """All rejected files."""
        return sum(self.rejected_by_reason.values())

    @property
    def warnings_count(self) -> int:
        """All warnings."""
        return sum(self.warnings_by_reason.values())


def _count(rows: list[AccountRow]) -> dict[str, int]:
    return dict(Counter(row.reason for row in rows).most_common())
