"""Caches lookups of Beam (2.77) while it builds a pipeline."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import userstate


@contextmanager
def remembered_lookups() -> Iterator[None]:
    """Has Beam remember the views of its options, and its findings about the methods of a DoFn."""
    view_as, get_dofn_specs = PipelineOptions.view_as, userstate.get_dofn_specs
    PipelineOptions.view_as = _once_for_each_class(view_as)
    userstate.get_dofn_specs = _once_for_each(get_dofn_specs)
    try:
        yield
    finally:
        PipelineOptions.view_as = view_as
        userstate.get_dofn_specs = get_dofn_specs


def _once_for_each_class(view_as: Callable[[Any, type], Any]) -> Callable[[Any, type], Any]:
    # All views of one set of options share its values, so one view of a class is as good as another.
    known: WeakKeyDictionary[Any, dict[type, Any]] = WeakKeyDictionary()

    def remembered(options: Any, cls: type) -> Any:
        views = known.setdefault(options, {})
        if cls not in views:
            views[cls] = view_as(options, cls)
        return views[cls]

    return remembered


def _once_for_each(get_dofn_specs: Callable[[Any], Any]) -> Callable[[Any], Any]:
    known: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def remembered(dofn: Any) -> Any:
        if not isinstance(dofn, Hashable):
            return get_dofn_specs(dofn)
        if dofn not in known:
            known[dofn] = get_dofn_specs(dofn)
        return known[dofn]

    return remembered
