"""Serialized `tf.train.Example`s, read without TensorFlow."""

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from crackgate.contracts import stored_example

_FIELD = descriptor_pb2.FieldDescriptorProto
# The part of tensorflow/core/example that holds bytes: name, number, type, whether repeated, name of the message.
_MESSAGES = {
    "BytesList": [("value", 1, _FIELD.TYPE_BYTES, True, "")],
    "Feature": [("bytes_list", 1, _FIELD.TYPE_MESSAGE, False, "BytesList")],
    "FeatureEntry": [
        ("key", 1, _FIELD.TYPE_STRING, False, ""),
        ("value", 2, _FIELD.TYPE_MESSAGE, False, "Feature"),
    ],
    "Features": [("feature", 1, _FIELD.TYPE_MESSAGE, True, "FeatureEntry")],
    "Example": [("features", 1, _FIELD.TYPE_MESSAGE, False, "Features")],
}


def image_of(example: bytes) -> bytes | None:
    """The encoded image of a stored example; None where it is no example, or does not hold one image."""
    try:
        entries = _example().FromString(example).features.feature
    except DecodeError:
        return None
    # A map on the wire is a list of entries; the last one of a key counts.
    content = [entry.value.bytes_list.value for entry in entries if entry.key == stored_example.ENCODED][-1:]
    return content[0][0] if content and len(content[0]) == 1 else None


@functools.cache
def _example() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="crackgate", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated, of in fields:
            described.field.add(
                name=name,
                number=number,
                type=kind,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
                type_name=f".crackgate.{of}" if of else None,
            )
    # A pool of its own: TensorFlow may be there, too.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("crackgate.Example"))
