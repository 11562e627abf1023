"""All inspected photographs of a set: `summary.csv`, `summary.json` and `index.html`, written one line at a time."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from crackgate.atomic_files import whole_file
from crackgate.contracts.positive_names import say_rule
from crackgate.csv_cells import csv_cells
from serving.inspection.measures import Measures

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Inspection</title>
<meta name="viewport" content="width=device-width">
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#222}
figure{margin:0 0 2.5rem}img{width:100%;height:auto;border:1px solid #ccc}figcaption{margin:.3rem 0}
.error{color:#a11;border-left:4px solid #a11;padding-left:.8rem}</style>
<h1>Inspection</h1>
"""


@dataclass(frozen=True)
class Inspection:
    """One photograph, or the `error` for which it could not be inspected; the other optional fields are None then.

    Attributes:
        photograph: Its path as it was found.
        model_version: Number of the version, or "unreleased".
        files: Folder below the output that has its overlay and tiles.
        width: In pixels, as the height.
    """

    photograph: str
    model_version: str
    files: str | None = None
    width: int | None = None
    height: int | None = None
    measures: Measures | None = None
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """The measures beside the rest, in the order of the summary's columns."""
        row = asdict(self)
        found = row.pop("measures") or dict.fromkeys(field.name for field in fields(Measures))
        last = {name: row.pop(name) for name in ("model_version", "error")}
        return row | found | last


@dataclass(frozen=True)
class InspectionSettings:
    """Model and tiles of a set of photographs.

    Attributes:
        model_version: Number of the version, or "unreleased".
        positive_classes: Those that are looked for.
        threshold: Sum of their scores from which on a tile is positive, 0 to 1.
        tile_px: Side of a tile, in pixels of the photographs.
        overlap: Share of a tile that its neighbour covers at least.
    """

    model_version: str
    positive_classes: tuple[str, ...]
    threshold: float
    tile_px: int
    overlap: float

    def __str__(self) -> str:
        """For a line of text."""
        return (
            f"Model {self.model_version}, {say_rule(self.positive_classes, self.threshold)}; "
            f"tiles of {self.tile_px} px, of which neighbours share {self.overlap:.0%}"
        )


@contextmanager
def summaries(folder: Path, settings: InspectionSettings) -> Iterator[Callable[[Inspection], None]]:
    """Gives a function that adds a photograph to all three files, which appear at the end, in a folder that exists."""
    with ExitStack() as stack:
        table, data, page = (
            stack.enter_context(stack.enter_context(whole_file(folder / name)).open("w", encoding="utf-8", newline=""))
            for name in ("summary.csv", "summary.json", "index.html")
        )
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(Inspection("", "").row())
        data.write(f'{{"settings": {json.dumps(asdict(settings), ensure_ascii=False)}, "photographs": [')
        page.write(f"{_HEAD}<p>{escape(str(settings))}</p>\n")
        separator = "\n"

        def add(inspected: Inspection) -> None:
            nonlocal separator
            row = inspected.row()
            rows.writerow(csv_cells(row.values()))
            data.write(separator + json.dumps(row, ensure_ascii=False))
            separator = ",\n"
            page.write(_figure(inspected))

        yield add
        data.write("\n]}\n")


def _figure(inspected: Inspection) -> str:
    name = escape(inspected.photograph)
    if inspected.measures is None or inspected.files is None:
        return f'<p class="error"><b>{name}</b><br>{escape(inspected.error or "")}</p>\n'
    folder = quote(inspected.files)
    return (
        f'<figure><a href="{folder}/overlay.jpg"><img loading="lazy" src="{folder}/overlay.jpg" alt="{name}"></a>'
        f"<figcaption><b>{name}</b> ({inspected.width} x {inspected.height}): {inspected.measures} · "
        f'<a href="{folder}/tiles.csv">CSV</a> · <a href="{folder}/tiles.geojson">GeoJSON</a></figcaption></figure>\n'
    )
