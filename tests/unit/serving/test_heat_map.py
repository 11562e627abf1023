"""The service's tiles: their number is bounded by what a photograph of them would take in memory."""

import pytest

from serving.service.errors import Code, ServiceError
from serving.service.heat_map import lay_bounded_grid


@pytest.mark.parametrize(("width", "height", "tile"), [(8000, 6000, 227), (4000, 3000, 64), (6000, 6000, 8192)])
def test_usual_photographs_are_cut_into_tiles(width: int, height: int, tile: int) -> None:
    grid = lay_bounded_grid(width, height, tile, 160)
    assert (grid.columns.length, grid.rows.length) == (width, height)
    assert grid.rows.scaled * grid.columns.scaled <= 150_000_000


def test_a_photograph_is_not_enlarged_without_end() -> None:
    with pytest.raises(ServiceError) as raised:
        lay_bounded_grid(8000, 6000, 32, 160)
    assert raised.value.code == Code.INVALID_ARGUMENT
    assert "received 32 pixels, which would enlarge the photograph of 8000x6000 to 40000x30000" in str(raised.value)
