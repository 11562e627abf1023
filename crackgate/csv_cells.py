"""Cells of CSV files that people open in spreadsheets."""

from collections.abc import Iterable
from typing import Any

# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_cells(values: Iterable[Any]) -> list[Any]:
    """Gives the cells of a row for `csv.writer`.

    Booleans are `true` and `false`. A text that spreadsheets would take for a formula has an apostrophe before it.
    """
    return [_cell(value) for value in values]


def is_formula(text: str) -> bool:
    """Whether spreadsheets would take a cell for a formula."""
    return text.startswith(_FORMULA)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and is_formula(value) else value
