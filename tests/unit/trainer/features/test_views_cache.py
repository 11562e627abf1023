"""The cache of views: complete entries or none, found by what made them, and no more of them than were last used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.features.views import Views
from trainer.features.views_cache import ViewsCache

ORIGIN: dict[str, Any] = {"images": "abc", "views": 2, "options": {"seed": 0}}


class Passes:
    """Makes views of random numbers, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, file: Path | None) -> Views:
        self.made += 1
        rng = np.random.default_rng(self.made)
        activations = None
        if file is not None:
            activations = np.lib.format.open_memmap(file, "w+", np.float16, (4, 2, 3, 3, 5))
            activations[:] = rng.normal(size=activations.shape)
        return Views(activations, rng.normal(size=(4, 2, 6)).astype(np.float32), np.arange(4))


@pytest.fixture
def passes() -> Passes:
    return Passes()


def _same(one: Views, other: Views) -> bool:
    return all(
        (mine is None and theirs is None) or np.array_equal(mine, theirs)
        for mine, theirs in zip(vars(one).values(), vars(other).values(), strict=True)
    )


def test_the_same_origin_needs_no_second_pass(tmp_path: Path, passes: Passes) -> None:
    first = ViewsCache(tmp_path / "views").get(ORIGIN, "cut", passes)
    again = ViewsCache(tmp_path / "views").get(dict(reversed(ORIGIN.items())), "cut", passes)
    assert passes.made == 1
    assert _same(first, again)
    assert first.activations is not None
    assert isinstance(again.activations, np.memmap)


@pytest.mark.parametrize("change", [{"images": "abd"}, {"views": 3}, {"options": {"seed": 1}}, {"new": None}])
def test_another_origin_needs_one(tmp_path: Path, passes: Passes, change: dict[str, Any]) -> None:
    first = ViewsCache(tmp_path).get(ORIGIN, "cut", passes)
    other = ViewsCache(tmp_path).get({**ORIGIN, **change}, "cut", passes)
    assert passes.made == 2
    assert not _same(first, other)


def test_another_cut_needs_one_and_no_cut_takes_any(tmp_path: Path, passes: Passes) -> None:
    cache = ViewsCache(tmp_path)
    first = cache.get(ORIGIN, "cut", passes)
    without = cache.get(ORIGIN, None, passes)
    assert passes.made == 1
    assert without.activations is None
    np.testing.assert_array_equal(without.features, first.features)
    cache.get(ORIGIN, "another", passes)
    assert passes.made == 2


def test_features_alone_do_not_serve_who_needs_activations(tmp_path: Path, passes: Passes) -> None:
    cache = ViewsCache(tmp_path)
    assert cache.get(ORIGIN, None, passes).activations is None
    assert cache.get(ORIGIN, "cut", passes).activations is not None
    assert passes.made == 2


def test_what_broke_off_is_made_again(tmp_path: Path, passes: Passes) -> None:
    def killed(file: Path | None) -> Views:
        passes(file)
        raise KeyboardInterrupt

    for cut in ("cut", None):
        with pytest.raises(KeyboardInterrupt):
            ViewsCache(tmp_path).get(ORIGIN, cut, killed)
    cache = ViewsCache(tmp_path)
    views = cache.get(ORIGIN, "cut", passes)
    assert passes.made == 3
    assert _same(cache.get(ORIGIN, "cut", killed), views)
    cache.prune()
    assert len(list(tmp_path.iterdir())) == 1


def test_only_what_was_used_is_kept(tmp_path: Path, passes: Passes) -> None:
    earlier = ViewsCache(tmp_path)
    for split in ("train", "eval"):
        earlier.get({"images": split}, "cut", passes)
    cache = ViewsCache(tmp_path)
    for split in ("other train", "eval"):
        cache.get({"images": split}, "cut", passes)
    cache.prune()
    assert len(list(tmp_path.iterdir())) == 2
    cache = ViewsCache(tmp_path)
    for split in ("other train", "eval"):
        cache.get({"images": split}, "cut", passes)
    assert passes.made == 3
    cache.get({"images": "train"}, "cut", passes)
    assert passes.made == 4


_JSON = st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists))


@settings(max_examples=25, deadline=None)
@given(one=_JSON, other=_JSON)
def test_origins_share_views_exactly_when_equal(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, Any], other: dict[str, Any]
) -> None:
    passes = Passes()
    cache = ViewsCache(tmp_path_factory.mktemp("views"))
    for origin in (one, other):
        cache.get(origin, None, passes)
    assert passes.made == (1 if one == other else 2)
