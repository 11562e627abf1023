"""The section `[serving_check]`."""

from typing import Annotated

from pydantic import Field

from crackgate.config.section import Section


class ServingCheckOptions(Section):
    """Limits of the exported model on the machine of the run, in a process that has only TensorFlow."""

    score_tolerance: Annotated[
        float, Field(gt=0, le=1, description="how far a score may be from the one recorded at training")
    ] = 1e-5
    max_p50_ms: Annotated[float, Field(gt=0, description="median of the time for one image, milliseconds")] = 1000.0
    max_p99_ms: Annotated[float, Field(gt=0, description="99th percentile of the time for one image, milliseconds")] = (
        5000.0
    )
    max_memory_mib: Annotated[
        float, Field(gt=0, description="most resident memory, MiB, TensorFlow itself (500) included")
    ] = 4096.0
    max_seconds: Annotated[
        float, Field(gt=0, description="time for all checks, seconds; a model that hangs is stopped then")
    ] = 600.0
