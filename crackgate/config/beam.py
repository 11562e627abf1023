"""The section `[beam]`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from crackgate.config.section import Section

# The components that run on Beam.
BEAM_COMPONENTS = ("ImageExampleGen", "StatisticsGen", "DataPage", "LeakCheck", "Evaluator")


def _check_argument(argument: str) -> str:
    if not re.match("--[a-z]", argument):
        raise ValueError("an argument of Beam or of its runner is like --name=value")
    if re.match("--runner(=|$)", argument):
        raise ValueError("beam.profile chooses the runner")
    return argument


def _check_address(address: str) -> str:
    found = re.fullmatch(r"[^\s/]+:(\d{1,5})", address, re.ASCII)
    if not found or not 0 < int(found[1]) < 2**16:
        raise ValueError("an address is HOST:PORT, its port 1 to 65535")
    return address


BeamArgument = Annotated[str, AfterValidator(_check_argument)]


HostAndPort = Annotated[str, AfterValidator(_check_address)]


class BeamOptions(Section):
    """The Beam runner and its workers; see docs/flink.md."""

    profile: Annotated[
        Literal["auto", "local", "flink"],
        Field(description="auto: local, and no run whose images do not fit into memory"),
    ] = "auto"
    job_endpoint: Annotated[HostAndPort, Field(description="address of Flink's Beam job server")] = "localhost:8099"
    worker_pool: Annotated[
        HostAndPort, Field(description="where each task manager finds its pool of Python workers")
    ] = "localhost:50000"
    parallelism: Annotated[
        int, Field(ge=0, le=32768, description="slots of Flink for a step; 0: as Flink is configured")
    ] = 0
    args: Annotated[tuple[BeamArgument, ...], Field(description="more arguments of all components, as they are")] = ()
    component_args: Annotated[
        dict[str, tuple[BeamArgument, ...]], Field(description="more arguments by component; they win")
    ] = {}

    @field_validator("component_args")
    @classmethod
    def _on_beam(cls, arguments: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if unknown := [name for name in arguments if name not in BEAM_COMPONENTS]:
            raise ValueError(f"{', '.join(unknown)}: allowed are {', '.join(BEAM_COMPONENTS)}")
        return arguments
