import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from crackgate.csv_cells import csv_cells


def test_cells_that_spreadsheets_would_compute_are_text() -> None:
    formulas = ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]
    assert csv_cells(formulas) == [f"'{formula}" for formula in formulas]
    assert csv_cells(["a=1", "", None, -0.5, True, False]) == ["a=1", "", None, -0.5, "true", "false"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_no_text_begins_like_a_formula_and_none_is_lost(texts: list[str]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow(csv_cells(texts))
    stream.seek(0)
    (row,) = csv.reader(stream)
    assert [cell.removeprefix("'") if cell != text else cell for cell, text in zip(row, texts, strict=True)] == texts
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
