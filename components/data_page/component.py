"""Specification of DataPage."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.data_page.artifact import HtmlPage
from components.data_page.executor import DataPageExecutor
from components.shared.parameters import CODE_PARAMETERS, digest_of


class DataPageSpec(types.ComponentSpec):
    """Examples, statistics, account and label conflicts in, page, separations and scale out."""

    PARAMETERS = CODE_PARAMETERS
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "account": ChannelParameter(type=standard_artifacts.JsonValue),
        "conflicts": ChannelParameter(type=standard_artifacts.JsonValue),
    }
    OUTPUTS = {
        "page": ChannelParameter(type=HtmlPage),
        "separations": ChannelParameter(type=standard_artifacts.JsonValue),
        "scale": ChannelParameter(type=standard_artifacts.JsonValue),
    }


class DataPage(base_beam_component.BaseBeamComponent):
    """Shows the images' counts, distributions, outliers, copies and rejected files.

    Outputs:
        page: An HtmlPage, the folder of `data.html`.
        separations: A JsonValue, a list of `Separation`.
        scale: A JsonValue, `ScaleFindings`.
    """

    SPEC_CLASS = DataPageSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(DataPageExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        account: types.BaseChannel,
        conflicts: types.BaseChannel,
    ):
        """Takes ImageExampleGen's three outputs, and StatisticsGen's statistics of these examples."""
        super().__init__(
            spec=DataPageSpec(
                examples=examples,
                statistics=statistics,
                account=account,
                conflicts=conflicts,
                **digest_of(DataPageExecutor),
                page=types.Channel(type=HtmlPage),
                separations=types.Channel(type=standard_artifacts.JsonValue),
                scale=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
