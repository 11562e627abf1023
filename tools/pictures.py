"""The README's pictures, of a run on synthetic photographs: the report, the data page, an inspected wall, the terminal.

Needs Chromium. `python -m tools.pictures` writes docs/pictures/.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from crackgate.atomic_files import write_text

_PICTURES = Path(__file__).parents[1] / "docs/pictures"
_COLUMNS = 110
# The last lines of a run: the gate, and what comes next.
_SHOWN_LINES = 45
# Photographs of the wall, across and down, and where the cracked ones are.
_WALL, _CRACKED = (8, 6), {13: 0, 21: 1, 28: 2, 34: 3}


def main() -> None:
    """Runs the pipeline in a temporary folder, and draws what it shows."""
    _PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _crackgate(folder, "sample-data", "photographs")
        said = _crackgate(folder, "run", "--data", "photographs")
        _draw_terminal(said)
        (run,) = (folder / "workspace/runs").iterdir()
        _photograph(run / "report.html", "report.png", 1280, 1400)
        (page,) = (folder / "workspace/pipeline/DataPage").rglob("*.html")
        _photograph(page, "data_page.png", 1280, 1400)
        _draw_wall(folder / "photographs", folder / "wall.jpg")
        _crackgate(folder, "inspect", "wall.jpg", "-o", "inspected")
        _photograph(folder / "inspected/index.html", "inspection.png", 1280, 1100)


def _crackgate(folder: Path, *arguments: str) -> str:
    """Runs a command in a terminal of its own, for its colours, and returns what it printed."""
    environment = {**os.environ, "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", "from crackgate_cli.main import main; main()", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        # The other end is closed.
        except OSError:
            pass
    os.close(ours)
    if process.returncode:
        sys.exit(f"crackgate {' '.join(arguments)} ended with {process.returncode}:\n{said.decode(errors='replace')}")
    return said.decode(errors="replace")


def _draw_terminal(said: str) -> None:
    # Progress is drawn over itself: of each line, only what stays is kept; cursor movements are no colours.
    lines = re.sub(r"\x1b\[\??[0-9;]*[A-HJKhl]", "\r", said).splitlines()
    shown = [line.rpartition("\r")[2] for line in lines][-_SHOWN_LINES:]
    console = Console(record=True, width=_COLUMNS, file=StringIO())
    console.print(Text.from_ansi("\n".join(shown)), soft_wrap=True)
    write_text(_PICTURES / "terminal.svg", console.export_svg(title="crackgate run --data photographs"))


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
