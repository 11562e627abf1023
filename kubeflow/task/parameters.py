"""The parameters of a run: paths, compiled into the pipeline as stand-ins."""

import dataclasses
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from crackgate.config.kubeflow import below, check_data, check_path
from crackgate.storage.location import is_url

# Folder of the buckets under Cloud Storage FUSE on GKE.
BUCKETS = "/gcs/"
_BUCKET_SCHEME = "gs://"


class ParameterError(Exception):
    """A run parameter cannot be used; the message names it, its value and what is allowed."""


@dataclass(frozen=True)
class RunParameters:
    """Absolute paths as the tasks see them; a relative `serving` (receives `<version>/`) lies below `workspace`.

    `data` may be the URL of a bucket's prefix.
    """

    workspace: str
    data: str
    serving: str

    def resolved(self) -> "RunParameters":
        """Returns paths of the file system, and `data` as it is; raises ParameterError for other places.

        Elsewhere a bucket is one that is mounted.
        """
        return RunParameters(
            as_file_path("workspace", self.workspace),
            _data(self.data),
            as_file_path("serving", below(self.workspace, self.serving)),
        )


# These stand in the compiled pipeline for the values of a run.
STAND_INS = RunParameters(
    workspace="/crackgate-parameters/workspace",
    data="/crackgate-parameters/data",
    serving="/crackgate-parameters/serving",
)


def as_file_path(name: str, path: str) -> str:
    """Turns `gs://bucket/folder` into `/gcs/bucket/folder`, and leaves absolute paths.

    It raises ParameterError with the parameter's `name` for other paths.
    """
    try:
        check_path(path)
    except ValueError as error:
        raise ParameterError(f"{name}: received {path!r}: {error}") from None
    path = BUCKETS + path.removeprefix(_BUCKET_SCHEME) if path.startswith(_BUCKET_SCHEME) else path
    return path.rstrip("/") or "/"


def _data(place: str) -> str:
    try:
        return check_data(place).rstrip("/") or "/"
    except ValueError as error:
        raise ParameterError(f"data: received {place!r}: {error}") from None


def check_data_folder(parameters: RunParameters) -> None:
    """Raises ParameterError if `data` is no folder: a missing volume looks like a folder without images.

    ImageExampleGen itself says what is wrong with a URL.
    """
    if is_url(parameters.data):
        return
    if not Path(parameters.data).is_dir():
        bucket = ": is the bucket mounted there, by Cloud Storage FUSE?" if parameters.data.startswith(BUCKETS) else ""
        raise ParameterError(
            f"data: received {parameters.data!r}, which is no folder in this container{bucket}; mount the volume "
            "that holds one sub-folder of images per class (kubeflow.volumes), or give its path there"
        )


def substitute(message: Message, values: RunParameters) -> None:
    """Replaces the stand-ins in every text of the message, at any depth, also inside `Any`."""
    pairs = [(getattr(STAND_INS, field.name), getattr(values, field.name)) for field in dataclasses.fields(values)]

    def replaced(text: str) -> str:
        for stand_in, value in pairs:
            text = text.replace(stand_in, value)
        return text

    _replace_texts(message, replaced)


def _replace_texts(message: Message, replaced: Callable[[str], str]) -> None:
    if isinstance(message, AnyMessage):
        from tfx.utils import proto_utils

        inner = proto_utils.unpack_proto_any(message)
        _replace_texts(inner, replaced)
        message.Pack(inner)
        return
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _replace_in_map(field, value, replaced)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if _is_repeated(field) else [value]:
                _replace_texts(each, replaced)
        elif field.type == FieldDescriptor.TYPE_STRING and _is_repeated(field):
            value[:] = [replaced(text) for text in value]
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, replaced(value))


def _replace_in_map(field: FieldDescriptor, entries: MutableMapping[Any, Any], replaced: Callable[[str], str]) -> None:
    value_field = field.message_type.fields_by_name["value"]
    for key in list(entries):
        if value_field.type == FieldDescriptor.TYPE_MESSAGE:
            _replace_texts(entries[key], replaced)
        elif value_field.type == FieldDescriptor.TYPE_STRING:
            entries[key] = replaced(entries[key])


def _is_repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)
