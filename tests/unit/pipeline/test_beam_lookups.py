"""Beam answers with its lookups remembered as it does without."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, TypeOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import userstate
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from crackgate.config.beam import BeamOptions
from pipeline.beam_lookups import remembered_lookups
from pipeline.beam_profiles import beam_pipeline_args

SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", VarIntCoder()))


class Count(beam.DoFn):
    """How often each key has come so far."""

    def process(
        self, keyed: tuple[str, int], seen: userstate.ReadModifyWriteRuntimeState = SEEN
    ) -> Iterator[tuple[str, int]]:
        count = (seen.read() or 0) + 1
        seen.write(count)
        yield keyed[0], count


@dataclass
class WithoutHash(beam.DoFn):
    """Equal to others of its kind, and so in no dict."""

    factor: int

    def process(self, keyed: tuple[str, int]) -> Iterator[tuple[str, int]]:
        yield keyed[0], self.factor * keyed[1]


def test_a_pipeline_with_state_gives_what_it_should() -> None:
    with remembered_lookups(), beam.Pipeline(argv=beam_pipeline_args(BeamOptions())) as pipeline:
        keyed = pipeline | beam.Create([("a", 1), ("b", 1), ("a", 1)]) | beam.ParDo(WithoutHash(3))
        assert_that(keyed, equal_to([("a", 3), ("b", 3), ("a", 3)]), label="values")
        assert_that(keyed | beam.ParDo(Count()), equal_to([("a", 1), ("a", 2), ("b", 1)]), label="counts")


def test_options_are_seen_and_changed_through_every_view() -> None:
    with remembered_lookups():
        options = PipelineOptions(["--direct_num_workers=3"])
        assert options.view_as(DirectOptions).direct_num_workers == 3
        copied = copy.deepcopy(options)
        options.view_as(DirectOptions).direct_num_workers = 5
        assert options.view_as(TypeOptions).view_as(DirectOptions).direct_num_workers == 5
        assert options.get_all_options()["direct_num_workers"] == 5
        assert copied.view_as(DirectOptions).direct_num_workers == 3
    assert options.view_as(DirectOptions).direct_num_workers == 5


def test_each_lookup_is_made_once_and_beam_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []
    view_as, get_dofn_specs = PipelineOptions.view_as, userstate.get_dofn_specs
    monkeypatch.setattr(PipelineOptions, "view_as", lambda options, cls: looked_up.append(cls) or view_as(options, cls))
    monkeypatch.setattr(userstate, "get_dofn_specs", lambda fn: looked_up.append(fn) or get_dofn_specs(fn))
    ours = PipelineOptions.view_as, userstate.get_dofn_specs
    options, counting, other = PipelineOptions([]), Count(), Count()
    with remembered_lookups():
        for _ in range(3):
            assert isinstance(options.view_as(TypeOptions), TypeOptions)
            assert userstate.is_stateful_dofn(counting) and userstate.is_stateful_dofn(other)
            assert not userstate.is_stateful_dofn(WithoutHash(1))
    assert [looked for looked in looked_up if not isinstance(looked, WithoutHash)] == [TypeOptions, counting, other]
    assert (PipelineOptions.view_as, userstate.get_dofn_specs) == ours
