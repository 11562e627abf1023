"""The README's pictures, of a run on synthetic photographs: report, data page, an inspected wall and the terminal.

Needs Chromium. `python -m tools.pictures` writes docs/pictures/. The terminal shows the temporary folder, by TMPDIR.
"""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

_PICTURES = Path(__file__).parents[1] / "docs/pictures"
_COLUMNS = 100
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
        _crackgate(folder, "sample-data", "unseen", "--count", "240", "--seed", "1")
        (model,) = (folder / "workspace/serving").glob("[0-9]*")
        _photograph_terminal(folder, "gate", "--model", str(model.relative_to(folder)), "--data", "unseen")


def _crackgate(folder: Path, *arguments: str) -> None:
    subprocess.run(_command(*arguments), cwd=folder, check=True)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from crackgate_cli.main import main; main()", *arguments]


def _photograph_terminal(folder: Path, *arguments: str) -> None:
    """The terminal as a command leaves it when it ends."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (50, _COLUMNS))
    environment = os.environ | {"TERM": "xterm-256color"}
    process = subprocess.Popen(_command(*arguments), cwd=folder, stdout=writer, stderr=writer, env=environment)
    os.close(writer)
    written = b""
    # A terminal without a writer is an error, not an end.
    with contextlib.suppress(OSError):
        while part := os.read(reader, 1 << 16):
            written += part
    os.close(reader)
    if process.wait():
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: {written.decode()}")
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    for row in _rows(written.decode()):
        text = Text.from_ansi(row)
        for line in text.divide(range(_COLUMNS, len(text), _COLUMNS)):
            console.print(line)
    drawing = console.export_svg(title=f"crackgate {' '.join(arguments)}")
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)[0])
    (folder / "terminal.svg").write_text(drawing, encoding="utf-8")
    _photograph(folder / "terminal.svg", "terminal.png", round(width), round(height))


def _rows(written: str) -> list[str]:
    """The rows that remain of rows that were drawn over and over: the cursor went up, and they were erased."""
    rows, at = [""], 0
    for part in re.split(r"(\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh]|[\r\n])", written):
        if part == "\x1b[1A":
            at -= 1
        elif part == "\x1b[2K":
            rows[at] = ""
        elif part == "\n":
            at += 1
            rows += [""] * (at == len(rows))
        elif part != "\r" and not part.startswith("\x1b[?25"):
            rows[at] += part
    return rows


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
