"""The base of all sections of the configuration."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section of the configuration: it refuses unknown fields and is frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
