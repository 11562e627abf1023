"""The base of all sections of the configuration."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crackgate.storage.location import is_url

Share = Annotated[float, Field(ge=0, le=1)]


def _check_path(path: str) -> str:
    if is_url(path):
        raise ValueError("allowed is a path: copy the file to this machine, or mount it")
    return path


FilePath = Annotated[str, AfterValidator(_check_path)]


class Section(BaseModel):
    """A section of the configuration: it refuses unknown fields and is frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
