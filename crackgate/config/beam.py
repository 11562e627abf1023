"""The section `[beam]`."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from crackgate.config.section import Section

# The components that run on Beam.
BEAM_COMPONENTS = ("ImageExampleGen", "StatisticsGen", "DataPage", "LeakCheck", "Evaluator")


def _check_argument(argument: str) -> str:
    if not re.match("--[a-z]", argument):
        raise ValueError("an argument of Beam or of its runner is like --name=value")
    return argument


def _check_address(address: str) -> str:
    if not re.fullmatch(r"\S+:\d+", address):
        raise ValueError("an address is HOST:PORT")
    return address


BeamArgument = Annotated[str, AfterValidator(_check_argument)]


HostAndPort = Annotated[str, AfterValidator(_check_address)]


class BeamOptions(Section):
    """The Beam runner and its workers; see docs/flink.md."""

    profile: Annotated[
        Literal["auto", "local", "local-parallel", "flink", "spark"],
        Field(description="auto: local, or from 40,000 images on local-parallel"),
    ] = "auto"
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=256,
            description="processes of local-parallel; 0: one for each core, or as auto decides; 1: no other process",
        ),
    ] = 0
    job_endpoint: Annotated[HostAndPort, Field(description="address of the Beam job server of flink or spark")] = (
        "localhost:8099"
    )
    worker_pool: Annotated[
        HostAndPort, Field(description="where each task manager or executor finds its pool of Python workers")
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

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.profile == "local" and self.workers > 1:
            raise ValueError("the profile 'local' has one worker: choose 'local-parallel', or leave workers out")
        return self
