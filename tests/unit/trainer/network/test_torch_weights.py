"""The reader of legacy PyTorch weights: right tensors from right files, a ValueError and nothing else from others."""

import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.network.torch_weights import read_torch_weights

MAGIC_AND_VERSION = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
HEADER = MAGIC_AND_VERSION + pickle.dumps({"little_endian": True}, 2)
VALUES = np.arange(6, dtype="<f4")


def test_reads_tensors_by_name(tmp_path: Path) -> None:
    counter = np.array([7], dtype="<i8")
    path = _write(
        tmp_path,
        HEADER
        + _state_dict(
            weight=_tensor(_storage("a", 6), offset=0, shape=(2, 3), strides=(3, 1)),
            counter=_tensor(_storage("b", 1, "LongStorage"), offset=0, shape=(), strides=()),
        )
        + pickle.dumps(["a", "b"], 2)
        + _storage_data(VALUES)
        + _storage_data(counter),
    )

    tensors = read_torch_weights(path)

    assert list(tensors) == ["weight", "counter"]
    np.testing.assert_array_equal(tensors["weight"], [[0, 1, 2], [3, 4, 5]])
    assert tensors["weight"].dtype == np.float32
    assert tensors["counter"].shape == ()
    assert tensors["counter"].dtype == np.int64
    assert tensors["counter"] == 7


def test_follows_offset_and_strides(tmp_path: Path) -> None:
    transposed = _tensor(_storage("a", 6), offset=0, shape=(3, 2), strides=(1, 3))
    tail = _tensor(_storage("a", 6), offset=4, shape=(2,), strides=(1,))

    tensors = read_torch_weights(_write(tmp_path, _file_of(transposed=transposed, tail=tail)))

    np.testing.assert_array_equal(tensors["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(tensors["tail"], [4, 5])
    assert tensors["transposed"].flags.c_contiguous
    assert tensors["transposed"].flags.owndata


class _RunsCommand:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_does_not_run_what_a_pickle_names(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    malicious = pickle.dumps({"weight": _RunsCommand(f"touch {trace}")}, 2)

    with pytest.raises(ValueError, match=r"it names posix\.system; allowed are only collections\.OrderedDict, torch"):
        read_torch_weights(_write(tmp_path, HEADER + malicious))

    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["builtins.eval", "numpy.dtype", "torch.HalfStorage", "collections.OrderedDict.fromkeys"]
)
def test_resolves_no_other_name(tmp_path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    naming_it = b"\x80\x02" + _global(module, attribute) + b"."

    with pytest.raises(ValueError, match=f"it names {name}; allowed are only"):
        read_torch_weights(_write(tmp_path, HEADER + naming_it))


@pytest.mark.parametrize("content", [b"", b"no weights at all", bytes(100), MAGIC_AND_VERSION[:-3]])
def test_refuses_garbage(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="does not start like a legacy"):
        read_torch_weights(_write(tmp_path, content))


def test_refuses_zip_format(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))

    with pytest.raises(ValueError, match=r"weights\.pth cannot be read .* zip format"):
        read_torch_weights(path)


def test_refuses_big_endian(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="big-endian"):
        read_torch_weights(_write(tmp_path, MAGIC_AND_VERSION + pickle.dumps({"little_endian": False}, 2)))


def test_refuses_every_truncation(tmp_path: Path) -> None:
    whole = _file_of(weight=_tensor(_storage("a", 6), offset=0, shape=(6,), strides=(1,)))
    assert set(read_torch_weights(_write(tmp_path, whole))) == {"weight"}

    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"truncated|does not start"):
            read_torch_weights(_write(tmp_path, whole[:length]))


@pytest.mark.parametrize("content", [[1, 2], {"weight": 1.0}, {"module": {"weight": 1.0}}])
def test_refuses_what_is_no_state_dict(tmp_path: Path, content: object) -> None:
    with pytest.raises(ValueError, match="does not hold a state dict"):
        read_torch_weights(_write(tmp_path, HEADER + pickle.dumps(content, 2) + pickle.dumps([], 2)))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (7,), (1,)), (1, (2, 3), (3, 1)), (6, (), ()), (-1, (2,), (1,)), (5, (6,), (-1,)), (0, (-1,), (1,))],
)
def test_refuses_tensor_beyond_its_storage(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    tensor = _tensor(_storage("a", 6), offset, shape, strides)

    with pytest.raises(ValueError, match="reaches beyond its storage of 6 elements"):
        read_torch_weights(_write(tmp_path, _file_of(weight=tensor)))


_HUGE = {
    "strides of 0": {"weight": (6, (2**20, 2**9), (0, 0))},
    "many views of one storage": {f"weight {number}": (6, (6,), (1,)) for number in range(1000)},
    "a large storage": {"weight": (2**30, (6,), (1,))},
}


@pytest.mark.parametrize("tensors", _HUGE.values(), ids=list(_HUGE))
def test_a_small_file_takes_little_memory(
    tmp_path: Path, tensors: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]]
) -> None:
    made = {name: _tensor(_storage("a", size), 0, shape, strides) for name, (size, shape, strides) in tensors.items()}
    path = _write(tmp_path, _file_of(**made))
    # Names take bytes, too: the many views are 200 bytes each.
    most = path.stat().st_size
    tracemalloc.start()
    try:
        if len(tensors) > 1:
            assert sum(tensor.nbytes for tensor in read_torch_weights(path).values()) < most
        else:
            with pytest.raises(ValueError, match="more elements than a file of"):
                read_torch_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * most + 2**20
    finally:
        tracemalloc.stop()


def test_a_memo_of_any_number_takes_little_memory(tmp_path: Path) -> None:
    # LONG_BINPUT, with the highest number that it can name.
    bomb = b"\x80\x02K\x01r" + (2**31).to_bytes(4, "little") + b"."
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="it numbers what it notes higher"):
            read_torch_weights(_write(tmp_path, HEADER + bomb + pickle.dumps([], 2)))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_sizes_are_whole_numbers(tmp_path: Path) -> None:
    tensor = _tensor(_storage("a", 6), 0, (6,), (1,)).replace(_int(6), b"G" + struct.pack(">d", 6.0))
    with pytest.raises(ValueError, match="no whole number"):
        read_torch_weights(_write(tmp_path, _file_of(weight=tensor)))


def test_missing_file_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_torch_weights(tmp_path / "absent.pth")


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "weights.pth"
    path.write_bytes(content)
    return path


def _file_of(**tensors: bytes) -> bytes:
    """A whole file whose tensors all view the one storage "a", which holds VALUES."""
    return HEADER + _state_dict(**tensors) + pickle.dumps(["a"], 2) + _storage_data(VALUES)


# Pickles put together opcode by opcode: without torch installed, pickle.dumps cannot name torch's functions.


def _state_dict(**tensors: bytes) -> bytes:
    items = b"".join(_string(name) + tensor for name, tensor in tensors.items())
    return b"\x80\x02" + _global("collections", "OrderedDict") + b")R" + b"(" + items + b"u" + b"."


def _tensor(storage: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    arguments = _tuple(storage, _int(offset), _tuple(*map(_int, shape)), _tuple(*map(_int, strides)), b"\x89", b"N")
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def _storage(key: str, size: int, kind: str = "FloatStorage") -> bytes:
    return _tuple(_string("storage"), _global("torch", kind), _string(key), _string("cpu"), _int(size), b"N") + b"Q"


def _storage_data(elements: np.ndarray) -> bytes:
    return elements.size.to_bytes(8, "little") + elements.tobytes()


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _string(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def _int(number: int) -> bytes:
    return b"J" + number.to_bytes(4, "little", signed=True)
