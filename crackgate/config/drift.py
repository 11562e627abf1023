"""The section `[drift]`."""

from typing import Annotated

from pydantic import Field

from crackgate.config.section import Section, Share


class DriftOptions(Section):
    """Limits on drift of the images' measured qualities, as Jensen-Shannon divergence beyond chance."""

    max_drift: Annotated[
        Share, Field(description="largest drift of a split from that of the last released run in this workspace")
    ] = 0.2
    max_skew: Annotated[Share, Field(description="largest drift of eval and of test from train")] = 0.2
