"""All inspected photographs of a set: `summary.csv`, `summary.json`, `findings.geojson` and the page."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from crackgate.atomic_files import whole_file, write_text
from crackgate.csv_cells import csv_cells
from serving.inspection import MAP_FILE, PAGE_FILE
from serving.inspection.inspection import Inspection, InspectionSettings
from serving.inspection.page import render_page

_TABLE_FILE, _JSON_FILE = "summary.csv", "summary.json"


@contextmanager
def summaries(folder: Path, settings: InspectionSettings) -> Iterator[Callable[[Inspection], None]]:
    """Gives a function that adds a photograph to all files, which appear at the end, in a folder that exists."""
    with ExitStack() as stack:
        table, data, places = (
            stack.enter_context(stack.enter_context(whole_file(folder / name)).open("w", encoding="utf-8", newline=""))
            for name in (_TABLE_FILE, _JSON_FILE, MAP_FILE)
        )
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(Inspection("", "").row())
        data.write(f'{{"settings": {json.dumps(asdict(settings), ensure_ascii=False)}, "photographs": [')
        places.write('{"type": "FeatureCollection", "features": [')
        inspections: list[Inspection] = []
        located = 0

        def add(inspected: Inspection) -> None:
            nonlocal located
            row = inspected.row()
            rows.writerow(csv_cells(row.values()))
            data.write((",\n" if inspections else "\n") + json.dumps(row, ensure_ascii=False))
            if (feature := inspected.feature()) is not None:
                places.write((",\n" if located else "\n") + json.dumps(feature, ensure_ascii=False))
                located += 1
            inspections.append(inspected)

        yield add
        for file in (data, places):
            file.write("\n]}\n")
        write_text(folder / PAGE_FILE, render_page(inspections, settings))
