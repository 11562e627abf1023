"""Names that somebody else chose, as a console shows them."""

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from crackgate_cli.console import LiteralConsole

PROJECT = Path(__file__).resolve().parents[3]
NAME = "a\x1b]0;title\x07\x1b[2J\u202e\r:bomb:[bold]\udced"
SHOWN = r"a\x1b]0;title\x07\x1b[2J\u202e\r:bomb:[bold]\udced"


def test_control_characters_and_pictures_in_a_name_stay_text() -> None:
    console = LiteralConsole(file=io.StringIO(), width=200)
    table = Table("name", escape(NAME), show_edge=False)
    table.add_row(escape(NAME), "1")
    console.print(table)
    console.print(f"[bold]error:[/] {escape(NAME)}\nmore", soft_wrap=True)
    console.print(NAME, markup=False, soft_wrap=True)
    said = console.file.getvalue()
    assert said.count(SHOWN) == 4 and "\x1b" not in said and f"error: {SHOWN}\nmore\n" in said


def test_an_encoding_without_a_names_characters_ends_no_command(tmp_path: Path) -> None:
    folder = tmp_path / "Risse ü"
    folder.mkdir()
    finished = subprocess.run(
        [sys.executable, "-c", "from crackgate_cli.main import main; main()", "sample-data", folder, "--count", "2"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"2 images in {tmp_path}/Risse \\xfc\n"
