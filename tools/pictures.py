"""The README's pictures, of a run on synthetic photographs: the report, the data page and an inspected wall.

Needs Chromium. `python -m tools.pictures` writes docs/pictures/.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

_PICTURES = Path(__file__).parents[1] / "docs/pictures"
# Photographs of the wall, across and down, and where the cracked ones are.
_WALL, _CRACKED = (8, 6), {13: 0, 21: 1, 28: 2, 34: 3}


def main() -> None:
    """Runs the pipeline in a temporary folder, and draws what it shows."""
    _PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _crackgate(folder, "sample-data", "photographs")
        _crackgate(folder, "run", "--data", "photographs")
        (run,) = (folder / "workspace/runs").iterdir()
        _photograph(run / "report.html", "report.png", 1280, 1400)
        (page,) = (folder / "workspace/pipeline/DataPage").rglob("*.html")
        _photograph(page, "data_page.png", 1280, 1400)
        _draw_wall(folder / "photographs", folder / "wall.jpg")
        _crackgate(folder, "inspect", "wall.jpg", "-o", "inspected")
        _photograph(folder / "inspected/index.html", "inspection.png", 1280, 1100)


def _crackgate(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", "from crackgate_cli.main import main; main()", *arguments]
    subprocess.run(command, cwd=folder, check=True)


def _draw_wall(photographs: Path, file: Path) -> None:
    """One picture of sound photographs side by side, some cracked."""
    across, down = _WALL
    sound, cracked = (sorted((photographs / name).iterdir()) for name in ("Negative", "Positive"))
    side = Image.open(sound[0]).width
    wall = Image.new("RGB", (across * side, down * side))
    for number in range(across * down):
        photograph = cracked[_CRACKED[number]] if number in _CRACKED else sound[number]
        wall.paste(Image.open(photograph), (number % across * side, number // across * side))
    wall.save(file, quality=92)


def _photograph(page: Path, name: str, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        shot = Path(temporary) / name
        command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{height}"]
        subprocess.run([*command, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True, timeout=120)
        # A page has few colours: a palette of them is a fifth of the size.
        Image.open(shot).convert("RGB").quantize(192).save(_PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
