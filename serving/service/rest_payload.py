"""TensorFlow Serving's JSON: a `:predict` request and its answer.

See https://www.tensorflow.org/tfx/serving/api_rest. In a request, `instances` is a list with one value for each row, or
one object for each row that names the input; `inputs` is the input's whole column, or an object that names it. A value
is a string, or `{"b64": "..."}` for bytes. The answer comes in the same format: `predictions` or `outputs`.
"""

import binascii
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.service.errors import invalid, shortened

DEFAULT_SIGNATURE = "serving_default"
# JSON objects, arrays and values that a request may hold beside two for each image. More are refused before they are
# parsed into many times their size.
_SPARE_VALUES = 64
# One character beyond a byte, plain or escaped, makes each of its text take four. Images need none.
_MOST_WIDE_BYTES = 2**20
_WIDE = re.compile(rb"[^\x00-\x7f]|\\u(?!00)")


@dataclass(frozen=True)
class PredictRequest:
    """A parsed request for a signature.

    Attributes:
        values: The input: one value for each row, decoded from base64.
        by_row: Whether the answer is to come row by row (`predictions`), not column by column (`outputs`).
    """

    signature: str
    values: list[bytes]
    by_row: bool


def parse_request(body: bytes, inputs: Mapping[str, str], most_rows: int) -> PredictRequest:
    """Reads the JSON of a `:predict` request with `most_rows` images at most.

    `inputs` has the name of each signature's one input.

    Raises:
        ServiceError: INVALID_ARGUMENT; it is not as TensorFlow Serving takes it.
    """
    document = _parse(body, most_rows)
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(f"'signature_name' must be a string, received {_shown(signature)}")
    signature = signature or DEFAULT_SIGNATURE
    if signature not in inputs:
        raise invalid(
            f'Serving signature name: "{shortened(signature)}" not found in signature def; '
            f"there are {', '.join(sorted(inputs))}"
        )
    by_row = "instances" in document
    if by_row == ("inputs" in document):
        raise invalid("expecting exactly one of the keys 'instances' and 'inputs'")
    column = document["instances"] if by_row else document["inputs"]
    rows = _rows(column, inputs[signature]) if by_row else _column(column, inputs[signature])
    if len(rows) > most_rows:
        raise invalid(f"received {len(rows)} images in one request, at most {most_rows} are allowed: send several")
    return PredictRequest(signature, [_decode(value, row) for row, value in enumerate(rows)], by_row)


def render_answers(outputs: Mapping[str, Sequence[Any]], by_row: bool) -> bytes:
    """The body of the answer, from outputs by name with one value for each row."""
    if by_row:
        rows = [dict(zip(outputs, values, strict=True)) for values in zip(*outputs.values(), strict=True)]
        return json.dumps({"predictions": rows}).encode()
    return json.dumps({"outputs": outputs}).encode()


def _parse(body: bytes, most_rows: int) -> dict[str, Any]:
    most = 2 * most_rows + _SPARE_VALUES
    # base64 has no comma: each parts two values.
    if body.count(b"[") + body.count(b"{") > most or body.count(b",") > most:
        raise invalid(f"the request holds too many or too deep JSON values; at most {most_rows} images are allowed")
    if len(body) > _MOST_WIDE_BYTES and _WIDE.search(body):
        raise invalid(
            f"the request has {len(body)} bytes with characters beyond ASCII, which are allowed in {_MOST_WIDE_BYTES} "
            "bytes at most: send images as base64"
        )
    try:
        document = json.loads(body.decode("utf-8-sig"))
    # A number of too many digits is a ValueError, too.
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} is not an object")
    return document


def _rows(instances: Any, name: str) -> list[Any]:
    if not isinstance(instances, list) or not instances:
        raise invalid(f"'instances' must be a list of at least one value, received {_shown(instances)}")
    named = _names_inputs(instances[0])
    rows = []
    for number, element in enumerate(instances):
        if _names_inputs(element) != named:
            raise invalid(f"element {number} of 'instances': a list holds either plain values or objects, not both")
        if named and element.keys() != {name}:
            raise invalid(f"element {number} of 'instances': received {_shown(element)}, keys must be equal to: {name}")
        rows.append(element[name] if named else element)
    return rows


def _column(inputs: Any, name: str) -> list[Any]:
    if _names_inputs(inputs):
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object, received {_shown(inputs)}")
        inputs = inputs[name]
    if not isinstance(inputs, list):
        raise invalid(f"'inputs' must be a list with one value for each image, received {_shown(inputs)}")
    return inputs


def _names_inputs(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _decode(value: Any, row: int) -> bytes:
    if isinstance(value, str):
        # Half a surrogate pair, which JSON can spell, is no text.
        return value.encode("utf-8", "replace")
    if not _is_base64(value):
        raise invalid(f'element {row}: expected a string or {{"b64": "..."}}, received {_shown(value)}')
    try:
        return binascii.a2b_base64(value["b64"], strict_mode=True)
    except ValueError:
        pass
    try:
        # TensorFlow Serving takes it with white space and without padding, too.
        text = value["b64"].encode("ascii").translate(None, string.whitespace.encode()).rstrip(b"=")
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise invalid(f"element {row}: Unable to base64 decode: {error}") from None


def _shown(value: Any) -> str:
    return shortened(json.dumps(value))
