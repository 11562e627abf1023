"""A table of labels as CSV: one image a row, with its path, its label and, if given, its split and group."""

import codecs
import csv
import io
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any

from crackgate.contracts.class_names import compose
from crackgate.contracts.errors import WrongQuestionError
from crackgate.contracts.stored_example import SPLITS
from crackgate.data_set.folder_names import split_of
from crackgate.storage.location import Location, is_url, split_url
from crackgate.storage.object_store import read_object

# Nobody reads the last one: it is a remark for people.
_PATH, _LABEL, _SPLIT, _GROUP, _ = COLUMNS = ("path", "label", "split", "group", "check")
_NEEDED = "needed are the columns path and label; split and group may follow, and a remark, check"
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SHOWN = 3
# The most for a table in a bucket; a row of a hundred million images takes less.
_MOST_BYTES = 10_000_000_000


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One image: its path below the data folder, its label, and its split and group, "" where they are not given."""

    path: str
    label: str
    split: str
    group: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A row's number in the file, and its cells; "" for those of columns that are not there."""

    number: int
    path: str
    label: str
    split: str
    group: str


def read_label_table(file: Location, folder: Location, images: Iterable[str]) -> list[LabelRow]:
    """Reads the table; paths in it start at its own folder or at the data folder, or are absolute or URLs.

    A path that is not there stands for the one of `images`, which are below the data folder, that has the same NFC.

    The columns are separated by commas, semicolons or tabs, and stand in any order. The text is UTF-8, or UTF-16 with
    a byte order mark.

    Raises:
        WrongQuestionError: No such file, or not such a table; missing images, folders, and images outside the data
            folder; empty cells; a label with "/" or a line break; a path with two labels, splits or groups; a group in
            two splits.
        StorageError: The store of a table's URL cannot be used.
    """
    columns, lines = _read_lines(file)
    if not lines:
        raise WrongQuestionError(f"{str(file)!r} has no row below its header: give one row for each image")
    _check_cells(file, columns, lines)
    return _unique(file, _find_images(file, folder, lines, images))


def _read_lines(file: Location) -> tuple[list[str], list[_Line]]:
    """The columns' names, and the rows that are not empty."""
    lines: list[_Line] = []
    with _open_text(file) as text:
        header = text.readline()
        text.seek(0)
        reader = csv.reader(text, delimiter=max(",;\t", key=header.count), strict=True)
        try:
            columns = [name.strip().casefold() for name in next(reader, [])]
            _check_columns(file, columns)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(columns):
                    raise WrongQuestionError(
                        f"{str(file)!r}, line {reader.line_num}: received {len(cells)} cells, the header has "
                        f"{len(columns)}"
                    )
                found = dict(zip(columns, map(str.strip, cells), strict=True))
                # Millions of rows repeat few labels, splits and groups.
                label, split, group = (sys.intern(found.get(name, "")) for name in (_LABEL, _SPLIT, _GROUP))
                lines.append(_Line(reader.line_num, found[_PATH], label, split, group))
        except csv.Error as error:
            raise WrongQuestionError(f"{str(file)!r}, line {reader.line_num}: no CSV: {error}") from None
    return columns, lines


def _open_text(file: Location) -> io.TextIOWrapper:
    try:
        content = read_object(str(file), _MOST_BYTES) if is_url(file) else Path(file).read_bytes()
    except OSError as error:
        # `read_object` speaks of objects that were listed.
        said = "no such object" if is_url(file) and isinstance(error, FileNotFoundError) else error.strerror
        raise WrongQuestionError(
            f"cannot read the table of labels {str(file)!r}: {said}; data.labels is absolute or below the data folder"
        ) from None
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise WrongQuestionError(
            f"{str(file)!r} is no text in UTF-8 (byte {error.start}): save it as CSV in UTF-8"
        ) from None
    if "\0" in text:
        raise WrongQuestionError(f"{str(file)!r} is no text: save it as CSV in UTF-8")
    return io.TextIOWrapper(io.BytesIO(content), encoding, newline="")


def _check_columns(file: Location, columns: list[str]) -> None:
    if set(columns) - set(COLUMNS) or len(set(columns)) < len(columns) or not {_PATH, _LABEL} <= set(columns):
        raise WrongQuestionError(
            f"{str(file)!r}: received the columns {', '.join(map(repr, columns)) or 'none'}; {_NEEDED}, and no others"
        )


def _check_cells(file: Location, columns: list[str], lines: list[_Line]) -> None:
    for column in COLUMNS[:-1]:
        empty = [line.number for line in lines if column in columns and not getattr(line, column)]
        if empty:
            raise WrongQuestionError(
                f"{str(file)!r}: the column {column!r} is empty in {_count(empty, 'row')}, such as line {empty[0]}: "
                "fill "
                + ("it everywhere, or leave the column out" if column in (_SPLIT, _GROUP) else "it or remove the row")
            )
    broken = [line for line in lines if "/" in line.label or len(line.label.splitlines()) > 1]
    if broken:
        raise WrongQuestionError(
            f"{str(file)!r}, line {broken[0].number}: received the label {broken[0].label!r}, allowed are "
            "names of classes, in one line and without '/'"
        )
    unknown = [line for line in lines if line.split and not split_of(line.split)]
    if unknown:
        raise WrongQuestionError(
            f"{str(file)!r}, line {unknown[0].number}: received the split {unknown[0].split!r}, allowed are "
            f"{', '.join(SPLITS)}"
        )


def _find_images(
    file: Location, folder: Location, lines: list[_Line], images: Iterable[str]
) -> list[tuple[int, LabelRow]]:
    # Images lie in a store or on this machine, as the data folder does, and so does a table's folder that counts.
    in_store = is_url(folder)
    data = str(folder) if in_store else os.path.abspath(folder)
    own = str(file).rpartition("/")[0] if is_url(file) else os.path.abspath(Path(file).parent)
    starts = dict.fromkeys(start for start in (own, data) if is_url(start) == in_store)
    base = data.rstrip("/") + "/"
    known = {base + path for path in images} if in_store else set()
    is_file: Callable[[str], bool] = known.__contains__ if in_store else os.path.isfile
    exists: Callable[[str], bool] = known.__contains__ if in_store else os.path.exists
    alike: dict[str, list[str]] | None = None
    rows: list[tuple[int, LabelRow]] = []
    missing: list[_Line] = []
    no_files: list[_Line] = []
    outside: list[_Line] = []
    for line in lines:
        places = [place for path in _spellings(line.path) for start in starts for place in _join(start, path)]
        place: str | None = next(filter(is_file, places), None)
        if place is None and any(map(exists, places)):
            no_files.append(line)
            continue
        if place is None:
            alike = _by_composed(base, images) if alike is None else alike
            others = {other for path in places for other in alike.get(compose(path), ())}
            place = others.pop() if len(others) == 1 else None
        if place is None:
            missing.append(line)
        elif not place.startswith(base):
            outside.append(line)
        else:
            row = LabelRow(place.removeprefix(base), line.label, split_of(line.split), line.group)
            rows.append((line.number, row))
    for wrong, said in (
        (missing, f"there is no such file at the table's folder or at {str(folder)!r}"),
        (no_files, "they are folders or no usual files, so give one row for each image"),
        (outside, f"they lie outside {str(folder)!r}, so give a --data that holds them all"),
    ):
        if wrong:
            shown = ", ".join(f"{line.path!r} (line {line.number})" for line in wrong[:_SHOWN])
            raise WrongQuestionError(f"{str(file)!r}: {_count(wrong, 'path')} cannot be used, {shown}: {said}")
    return rows


def _by_composed(base: str, images: Iterable[str]) -> dict[str, list[str]]:
    """The places of all images by their NFC: as much memory as all else, so it is made when a path is not there."""
    alike: dict[str, list[str]] = {}
    for path in images:
        alike.setdefault(compose(base + path), []).append(base + path)
    return alike


def _join(start: str, path: str) -> list[str]:
    """The places that a path in the table may mean, from a folder; a key may itself hold "//" and ".."."""
    if not is_url(start):
        return [os.path.normpath(os.path.join(start, path))]
    if is_url(path):
        return [path]
    scheme, place = split_url(start)
    return [f"{start}/{path}", f"{scheme}://{normpath(f'{place}/{path}')}"]


def _spellings(path: str) -> list[str]:
    """The path as it stands, and a Windows path with its separators turned."""
    return [path, path.replace("\\", "/")] if "\\" in path else [path]


def _unique(file: Location, rows: list[tuple[int, LabelRow]]) -> list[LabelRow]:
    """Each image's row once; refuses those that disagree."""
    first: dict[str, tuple[int, LabelRow]] = {}
    split_of_group: dict[str, tuple[int, LabelRow]] = {}
    for number, row in rows:
        other_number, other = first.setdefault(row.path, (number, row))
        if other != row:
            raise WrongQuestionError(
                f"{str(file)!r}: {row.path!r} stands in line {other_number} as {_said(other)} and in line {number} as "
                f"{_said(row)}: keep one of them"
            )
        other_number, other = split_of_group.setdefault(row.group, (number, row))
        if row.group and other.split != row.split:
            raise WrongQuestionError(
                f"{str(file)!r}: the group {row.group!r} is in the split {other.split!r} (line {other_number}) and in "
                f"{row.split!r} (line {number}): a group is in one split"
            )
    return [row for _, row in first.values()]


def _said(row: LabelRow) -> str:
    return ", ".join(repr(cell) for cell in (row.label, row.split, row.group) if cell)


def _count(items: list[Any], noun: str) -> str:
    return f"{len(items)} {noun}" + "s" * (len(items) > 1)
