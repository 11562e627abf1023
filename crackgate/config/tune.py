"""The section `[tune]`."""

from typing import Annotated

from pydantic import Field

from crackgate.config.section import Section


class TuneOptions(Section):
    """A search for better learning rates, dropout and depth of the fine-tuning before the training itself."""

    trials: Annotated[
        int, Field(ge=0, le=1000, description="trainings to compare on eval, the configured one first; 0: no search")
    ] = 0
