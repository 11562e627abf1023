"""Cells of CSV files that people open in spreadsheets."""

from collections.abc import Iterable
from typing import Any

# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_cells(values: Iterable[Any]) -> list[Any]:
    """Gives the cells of a row for `csv.writer`.

    Booleans are `true` and `false`. A text that spreadsheets would take for a formula has an apostrophe before it.
    """
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
