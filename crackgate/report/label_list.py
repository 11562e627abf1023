"""All images with their labels as CSV, the doubtful ones first, for a person to correct."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from crackgate.atomic_files import write_text
from crackgate.config.data import DataOptions
from crackgate.contracts.account import LABEL_CONFLICT
from crackgate.csv_cells import csv_cells, is_formula
from crackgate.data_set.data_set import DataSet, ListedImage, find_data_set
from crackgate.data_set.label_table import COLUMNS
from crackgate.images.image_folder import readable_path
from crackgate.runs.summary import Summary


def write_label_list(summary: Summary, options: DataOptions, file: Path) -> int:
    """Writes what `data.labels` reads back; returns how many images it leaves out, whose names no such table can hold.

    Given splits and groups of a table keep their columns. The column `check` says what is doubtful.

    Raises:
        WrongQuestionError: The data folder is not what it was.
        OSError: The data folder cannot be listed, or the file not written.
    """
    data_set = find_data_set(summary.data, options)
    checks = _checks(summary)
    rows = [(checks.get(readable_path(os.fsencode(image.path)), ""), image) for image in _listed(data_set)]
    places = {path: place for place, path in enumerate(checks)}
    rows.sort(key=lambda row: places.get(readable_path(os.fsencode(row[1].path)), len(places)))
    used = [any(image.splits for _, image in rows), any(image.group for _, image in rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    place, label, split, group, check = COLUMNS
    writer.writerow([place, label, *([split] if used[0] else []), *([group] if used[1] else []), check])
    for said, image in rows:
        given = [*([image.splits[0]] if used[0] else []), *([image.group] if used[1] else [])]
        # The same path, which no spreadsheet computes. Classes are read back by their names.
        path = f"./{image.path}" if is_formula(image.path) else image.path
        writer.writerow([path, image.class_name, *csv_cells(given), said])
    write_text(file, text.getvalue())
    return sum(bool(image.class_name) for image in data_set.images) - len(rows)


def _listed(data_set: DataSet) -> Iterator[ListedImage]:
    for image in data_set.images:
        is_folder = image.path.endswith(os.sep)
        in_one_line = len(image.class_name.splitlines()) == 1
        if in_one_line and not is_folder and _fits(image.path) and _fits(image.class_name):
            yield image


def _fits(cell: str) -> bool:
    """Whether a table of labels gives it back: it is UTF-8 without blanks around it."""
    return cell == cell.strip() == cell.encode("utf-8", "replace").decode()


def _checks(summary: Summary) -> dict[str, str]:
    """The remark about each doubtful image by path, the most doubtful first."""
    doubts = {doubt.path: doubt.in_words() for doubt in summary.doubtful_labels.found}
    conflicts = {row.path: row.detail for row in summary.images.rejected if row.reason == LABEL_CONFLICT}
    return doubts | conflicts
