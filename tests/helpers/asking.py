"""Requests to a running service, and images to send."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from crackgate.contracts import stored_example
from tests.helpers.service_process import Service
from tests.helpers.toy_release import SIZE

PREDICT = "/v1/models/crackgate:predict"


def encoded(grey: int, kind: str = "PNG", size: int = SIZE) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (grey, grey, grey)).save(file, kind)
    return file.getvalue()


DARK, LIGHT = encoded(10), encoded(245)


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def example(content: bytes) -> bytes:
    import tensorflow as tf

    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
    serialized: bytes = tf.train.Example(
        features=tf.train.Features(feature={stored_example.ENCODED: value})
    ).SerializeToString()
    return serialized


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 black pixels in a few hundred bytes of header and data."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


def newest(serving_dir: Path) -> int:
    return max(int(folder.name) for folder in serving_dir.iterdir() if folder.name.isdecimal())


def predict(service: Service, body: Any, path: str = PREDICT) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{service.url}{path}", content=content, timeout=30)


def is_answering(service: Service) -> bool:
    return predict(service, {"signature_name": "predict_images", "instances": [b64(DARK)]}).status_code == 200


def metrics(service: Service) -> list[str]:
    return httpx.get(f"{service.url}/metrics").raise_for_status().text.splitlines()


def metric(service: Service, name: str) -> float:
    return next((float(line.rpartition(" ")[2]) for line in metrics(service) if line.startswith(f"{name} ")), 0.0)
