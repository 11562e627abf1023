"""TensorFlow Serving's JSON, and what the service is told on the command line."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.service.errors import Code, ServiceError
from serving.service.rest_payload import parse_request, render_answers
from serving.service.settings import SettingsError, check_exposure, check_name, read_token

INPUTS = {"serving_default": "examples", "predict_images": "image_bytes"}
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["b64", "examples", "x"]), inner),
    max_leaves=8,
)


@given(st.lists(st.binary(), min_size=1, max_size=5), st.booleans(), st.booleans(), st.booleans())
def test_bytes_arrive_as_they_were_sent(values: list[bytes], by_row: bool, named: bool, loose: bool) -> None:
    def encode(value: bytes) -> dict[str, str]:
        text = base64.b64encode(value).decode()
        return {"b64": f" {text.rstrip('=')}\n" if loose else text}

    rows = [encode(value) for value in values]
    if by_row:
        body = {"instances": [{"image_bytes": row} for row in rows] if named else rows}
    else:
        body = {"inputs": {"image_bytes": rows} if named else rows}
    content = json.dumps({"signature_name": "predict_images", **body}).encode()
    prediction = parse_request(content, INPUTS, 5)
    assert (prediction.signature, prediction.values, prediction.by_row) == ("predict_images", values, by_row)


# The first text takes seconds where the machine is busy.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), _VALUES))
def test_any_json_is_read_or_refused(document: dict[str, object]) -> None:
    try:
        prediction = parse_request(json.dumps(document).encode(), INPUTS, 5)
    except ServiceError as error:
        assert error.code is Code.INVALID_ARGUMENT
    else:
        assert len(prediction.values) <= 5


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(ServiceError):
        parse_request(body, INPUTS, 5)


def test_answers_come_by_row_or_by_column() -> None:
    outputs = {"label": ["a", "b"], "scores": [[0.5, 0.5], [1.0, 0.0]]}
    assert json.loads(render_answers(outputs, by_row=False)) == {"outputs": outputs}
    assert json.loads(render_answers(outputs, by_row=True)) == {
        "predictions": [{"label": "a", "scores": [0.5, 0.5]}, {"label": "b", "scores": [1.0, 0.0]}]
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_may_ask_without_a_token(host: str) -> None:
    check_exposure(host, None, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", ""])
def test_others_need_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="no token keeps them out"):
        check_exposure(host, None, False)
    check_exposure(host, b"0123456789abcdef", False)
    check_exposure(host, None, True)


def test_tokens_come_from_files_and_variables(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" 0123456789abcdef\n")
    assert read_token(None, None, {}) is None
    assert read_token(file, None, {}) == b"0123456789abcdef"
    assert read_token(None, "TOKEN", {"TOKEN": "0123456789abcdef"}) == b"0123456789abcdef"
    for wrong in ("", "short", "0123456789 abcdef", "0123456789äbcdef"):
        file.write_text(wrong)
        with pytest.raises(SettingsError, match="holds no token") as raised:
            read_token(file, None, {})
        assert not wrong or wrong not in str(raised.value)
    with pytest.raises(SettingsError, match="cannot read"):
        read_token(tmp_path / "none", None, {})
    with pytest.raises(SettingsError, match="give one of them"):
        read_token(file, "TOKEN", {})


def test_names_have_to_fit_into_paths() -> None:
    check_name("crack-gate_1.0")
    for wrong in ("", "a/b", "a:b", "a b"):
        with pytest.raises(SettingsError, match="allowed are letters"):
            check_name(wrong)
