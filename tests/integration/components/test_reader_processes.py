"""Reader processes: the outcome is the same, whichever process reads, and whatever becomes of them."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from components.image_example_gen.reader_processes import Batch, ReaderProcess, reader_processes
from crackgate.config.data import DataOptions
from tests.helpers.ingested import draw, example_gen

if TYPE_CHECKING:
    from conftest import Bench

_PATIENCE = 120.0


@pytest.fixture
def folder(tmp_path: Path, photographs: Path) -> Path:
    """The photographs with files among them that are rejected or have warnings."""
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    (data / "Negative" / "empty.jpg").touch()
    (data / "Negative" / os.fsdecode(b"no image \xe9.png")).write_bytes(b"no image")
    (data / "beside.jpg").write_bytes((data / "Negative" / "00001.jpg").read_bytes())
    whole = (data / "Positive" / "00001.jpg").read_bytes()
    (data / "Positive" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (data / "Positive" / "gone.jpg").symlink_to("nowhere")
    draw(1).save(data / "Positive" / "frames.gif", save_all=True, append_images=[draw(2)])
    return data


def _wait_until_ready(reader: ReaderProcess) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not reader.has_room():
        assert time.monotonic() < deadline, "the reader has not come to its first batch"
        assert list(reader.finished()) == []
        time.sleep(0.05)


def _stored(bench: "Bench") -> dict[str, str]:
    """Digests of all files of examples."""
    folder = Path(bench.output("ImageExampleGen", "examples").uri)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.gz")
    }


def test_the_outcome_is_the_same_byte_for_byte_with_a_reader_process(
    folder: Path, new_bench: "Callable[..., Bench]", monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.image_example_gen import executor

    # A dozen batches, so that the reader has a part in it.
    monkeypatch.setattr(executor, "_FILES_IN_BATCH", 4)
    alone, shared = new_bench(), new_bench()
    given: list[int] = []
    give = ReaderProcess.give

    def recorded(reader: ReaderProcess, batch: Batch) -> bool:
        given.append(batch.number)
        return give(reader, batch)

    monkeypatch.setattr(ReaderProcess, "give", recorded)
    with reader_processes(1) as (reader,):
        alone_account = _ingest(alone, folder, shared=False)
        _wait_until_ready(reader)
        shared_account = _ingest(shared, folder, shared=True)
    assert 2 <= len(given) < 12
    assert not reader.has_room()
    assert shared_account == alone_account
    assert len(alone_account["rejected"]) == 5
    assert len(alone_account["warnings"]) == 1
    assert _stored(shared) == _stored(alone)
    assert len(_stored(alone)) == 6


def _ingest(bench: "Bench", folder: Path, shared: bool) -> Any:
    from components.image_example_gen import read_step

    with pytest.MonkeyPatch.context() as patch:
        if not shared:
            patch.setattr(read_step, "take_reader_processes", list)
        bench.run(example_gen(folder, max_rejected_share=0.5))
    return bench.json_output("ImageExampleGen", "account")


def test_what_a_killed_reader_process_was_given_is_read_by_this_process(
    photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from components.image_example_gen.read_step import ReadImages
    from crackgate.contracts.image_limits import ImageLimits
    from crackgate.data_set.data_set import find_data_set

    images = find_data_set(photographs, DataOptions()).images
    paths = [os.fsencode(image.path) for image in images]
    read = ReadImages(str(photographs), ["Negative", "Positive"], ImageLimits(), str(tmp_path))
    before = set(psutil.Process().children())
    with reader_processes(1) as (reader,):
        (process,) = set(psutil.Process().children()) - before
        read.start_bundle()
        _wait_until_ready(reader)
        process.send_signal(signal.SIGSTOP)
        outputs = [output for number in range(4) for output in read.process((number, images[number::4]))]
        assert [places[0].batch for _, places in outputs] == [2, 3]
        process.kill()
        outputs += [output.value for output in read.finish_bundle()]
    assert "this process reads its images" in caplog.text
    assert sorted(name for pictures, _ in outputs for name in pictures.names) == paths
    assert [places[0].batch for _, places in outputs] == [2, 3, 0, 1]
    for _, places in outputs:
        assert Path(places[0].file).stat().st_size == places[-1].offset + places[-1].size


_STARTS_A_READER = """
import sys
from components.image_example_gen.reader_processes import reader_processes
with reader_processes(1):
    print("started", flush=True)
    sys.stdin.read()
"""


def test_a_reader_process_ends_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _STARTS_A_READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        (reader,) = psutil.Process(parent.pid).children()
        parent.kill()
    _, alive = psutil.wait_procs([reader], timeout=_PATIENCE)
    assert not alive
