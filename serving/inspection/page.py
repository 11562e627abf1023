"""The page of all inspected photographs: an overview by severity, and each photograph under its heat map."""

from collections.abc import Sequence
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote

from crackgate.images.geotag import Geotag
from crackgate.pages.templates import render_html
from crackgate.plural import counted
from serving.inspection.inspection import Inspection, InspectionSettings
from serving.inspection.overlay import COLOURS, HEAT_FILE, MARKED_FILE, PHOTOGRAPH_FILE
from serving.inspection.tile_files import POSITIVE_TILES_FILE, TILES_FILE

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_SCRIPT = "".join(
    (files(package) / name).read_text(encoding="utf-8")
    for package, name in (("crackgate.pages", "layers.js"), ("serving.inspection", "page.js"))
)
# Photographs that the page shows, and those that its lists name: a browser opens no page of a hundred thousand.
_SHOWN, _LISTED = 200, 2_000
_NONE = "No photograph could be inspected"
# The page lies beside its pictures; a browser that opens it as a file takes that for no site of its own.
_IMAGES = "data: 'self' file:"


def render_page(inspections: Sequence[Inspection], settings: InspectionSettings) -> str:
    """Renders HTML that loads the pictures beside it and nothing else; most positive tiles come first."""
    measured = [row for row in inspections if row.measures is not None]
    ordered = sorted(measured, key=_severity, reverse=True)
    cracked = sum(row.measures is not None and row.measures.is_positive for row in measured)
    failed = [row for row in inspections if row.measures is None]
    located = sum(row.geotag is not None for row in measured)
    sections = ["Overview", "Photographs"] if measured else []
    return render_html(
        _TEMPLATE,
        script=_SCRIPT,
        images=_IMAGES,
        headline=f"{cracked:,} of {counted(len(measured), 'photograph')} with cracks" if measured else _NONE,
        settings=settings,
        colours=[f"rgb({red} {green} {blue})" for red, green, blue in COLOURS[:: len(COLOURS) // 8]],
        skipped=_common_folder([row.photograph for row in inspections]),
        measured=len(measured),
        listed=ordered[:_LISTED],
        shown=ordered[:_SHOWN],
        most=_LISTED,
        failed=failed,
        located=located,
        unusable=[row for row in measured if row.geotag_error],
        sections=[*sections, *(["Not inspected"] if failed else [])],
        files={
            "photograph": PHOTOGRAPH_FILE,
            "heat": HEAT_FILE,
            "marked": MARKED_FILE,
            "tiles": TILES_FILE,
            "positive": POSITIVE_TILES_FILE,
        },
        address=_address,
        map_link=_map_link,
    )


def _common_folder(paths: Sequence[str]) -> int:
    """Length of the folders that the paths of all photographs begin with: names are shown without them."""
    levels = zip(*(path.split("/")[:-1] for path in paths), strict=False)
    return sum(len(names[0]) + 1 for names in takewhile(lambda names: len(set(names)) == 1, levels))


def _severity(row: Inspection) -> tuple[int, float]:
    assert row.measures is not None
    return row.measures.positive_tiles, row.measures.highest_score


def _address(row: Inspection, file: str) -> str:
    return quote(f"{row.files}/{file}")


def _map_link(geotag: Geotag) -> str:
    place = f"{geotag.latitude:.6f}/{geotag.longitude:.6f}"
    return f"https://www.openstreetmap.org/?mlat={geotag.latitude:.6f}&mlon={geotag.longitude:.6f}#map=19/{place}"
