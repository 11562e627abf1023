import os
from pathlib import Path

import pytest

from crackgate.lasting_stream import LastingStream


def test_what_is_written_arrives_at_once(tmp_path: Path) -> None:
    file = tmp_path / "text"
    with LastingStream(os.open(file, os.O_WRONLY | os.O_CREAT)) as stream:
        stream.write("Riß \udcff\n")
        assert file.read_text(encoding="utf-8") == "Riß \\udcff\n"


def test_without_a_reader_text_is_dropped() -> None:
    reader, writer = os.pipe()
    with LastingStream(writer) as stream:
        stream.write("first\n")
        assert os.read(reader, 10) == b"first\n"
        os.close(reader)
        assert stream.write("second\n") == 7
        print("third", file=stream, flush=True)


@pytest.mark.parametrize("size", [1, 100_000])
def test_on_a_full_disk_text_is_dropped(size: int) -> None:
    with LastingStream(os.open("/dev/full", os.O_WRONLY)) as stream:
        stream.write("x" * size)
        stream.flush()
