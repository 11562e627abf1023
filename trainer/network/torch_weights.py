"""Tensors of a legacy PyTorch weights file, read with numpy alone and without running anything that the file names.

A legacy file (`torch.save` before PyTorch 1.6) holds five pickles: a magic number, the version, facts about the
machine, the state dict, the keys of its storages. Each storage's element count and raw bytes follow. A tensor in the
state dict is a view (offset, shape and strides, in elements) of a storage.
"""

import math
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

LEGACY_START = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2)
ZIP_START = b"PK\x03\x04"


class _Storage(NamedTuple):
    dtype: str
    key: str
    size: int


class _TensorView(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_weights(path: Path) -> dict[str, np.ndarray]:
    """The tensors by name, in the file's order: C-contiguous arrays of float32 or int64 that own their memory.

    Raises:
        ValueError: The file is no legacy PyTorch file, is truncated, or holds or names anything but tensors.
    """
    # A pickle can call whatever it names: only the four names that a state dict needs are resolved.
    with path.open("rb") as file:
        try:
            _check_header(file)
            views = _unpickle(file)
            _check_sizes(views, os.fstat(file.fileno()).st_size)
            storages = _read_storages(file, views)
            return {name: _tensor(view, storages[view.storage.key]) for name, view in views.items()}
        except Exception as error:  # a damaged or hostile pickle can raise anything
            raise ValueError(f"{path} cannot be read as PyTorch weights: {error}") from error


def _check_header(file: BinaryIO) -> None:
    start = file.read(len(LEGACY_START))
    if start.startswith(ZIP_START):
        raise ValueError(
            "it is in torch's zip format; torch.save(..., _use_new_zipfile_serialization=False) writes the legacy one"
        )
    if start != LEGACY_START:
        raise ValueError("it does not start like a legacy torch.save file")
    if not _unpickle(file)["little_endian"]:
        raise ValueError("it was written on a big-endian machine")


def _unpickle(file: BinaryIO) -> Any:
    start = file.tell()
    try:
        operations = [(operation.name, argument) for operation, argument, _ in pickletools.genops(file)]
    except ValueError as error:
        raise ValueError("it is truncated or damaged before its tensors' data") from error
    # Python would take memory for as many notes as the highest number says.
    notes = [int(argument or 0) for name, argument in operations if name in ("PUT", "BINPUT", "LONG_BINPUT")]
    if max(notes, default=0) > len(operations):
        raise ValueError("it numbers what it notes higher than it has notes")
    file.seek(start)
    return _StateDictUnpickler(file).load()


def _tensor_view(storage: _Storage, offset: int, shape: Any, strides: Any, *_autograd: Any) -> _TensorView:
    return _TensorView(storage, offset, shape, strides)


# A storage type resolves to a dtype's name: a pickle can set the state of what it is given, and a string has none.
_ALLOWED_GLOBALS: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor_view,
    "torch.FloatStorage": "<f4",
    "torch.LongStorage": "<i8",
}


class _StateDictUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = f"{module}.{name}"
        if found not in _ALLOWED_GLOBALS:
            raise ValueError(f"it names {found}; allowed are only {', '.join(_ALLOWED_GLOBALS)}")
        return _ALLOWED_GLOBALS[found]

    def persistent_load(self, reference: Any) -> _Storage:
        _kind, dtype, key, _device, size, _view = reference
        return _Storage(dtype, key, size)


def _check_sizes(views: Any, file_bytes: int) -> None:
    """Bounds what the file makes of itself, before memory is taken: strides of 0 can make any size of one number."""
    if not isinstance(views, dict) or not all(
        isinstance(name, str) and isinstance(view, _TensorView) for name, view in views.items()
    ):
        raise ValueError("it does not hold a state dict, tensors by name")
    numbers = [(view.storage.size, view.offset, *view.shape, *view.strides) for view in views.values()]
    if not all(type(number) is int for each in numbers for number in each):
        raise ValueError("it has a size, an offset or a stride that is no whole number")
    storages = sum({view.storage.key: max(view.storage.size, 0) for view in views.values()}.values())
    tensors = sum(max(math.prod(view.shape), 0) for view in views.values())
    # A storage takes 4 bytes an element or more. Two tensors may share one.
    if max(storages, tensors / 2) * 4 > file_bytes:
        raise ValueError(f"its {len(views)} tensors have more elements than a file of {file_bytes:,} bytes can hold")


def _read_storages(file: BinaryIO, views: dict[str, _TensorView]) -> dict[str, np.ndarray]:
    described = {view.storage.key: view.storage for view in views.values()}
    return {key: _read_storage(file, described[key]) for key in _unpickle(file)}


def _read_storage(file: BinaryIO, storage: _Storage) -> np.ndarray:
    if storage.dtype not in ("<f4", "<i8") or storage.size < 0:
        raise ValueError(f"storage {storage.key} is neither a FloatStorage nor a LongStorage")
    dtype = np.dtype(storage.dtype)
    size = int.from_bytes(file.read(8), "little")
    data = file.read(storage.size * dtype.itemsize)
    if size != storage.size or len(data) != storage.size * dtype.itemsize:
        raise ValueError(f"it is truncated or damaged in storage {storage.key}, which has {storage.size} elements")
    return np.frombuffer(data, dtype)


def _tensor(view: _TensorView, storage: np.ndarray) -> np.ndarray:
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if min((view.offset, *view.shape, *view.strides)) < 0 or last >= storage.size:
        raise ValueError(f"a tensor of shape {view.shape} reaches beyond its storage of {storage.size} elements")
    byte_strides = [stride * storage.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, byte_strides).copy()
