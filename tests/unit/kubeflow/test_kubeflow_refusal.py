"""What the API's refusals become: one line with what was said, and what to do."""

import pytest

kfp_server_api = pytest.importorskip("kfp_server_api")

HOST = "https://kubeflow.example.com/pipeline"


@pytest.mark.parametrize(
    ("status", "reason", "body", "said"),
    [
        (403, "Forbidden", b"RBAC: access denied", "(403 RBAC: access denied): ask for the role kubeflow-edit"),
        (403, "Forbidden", '{"error": "not\\nyours", "code": 7}', "(403 not yours)"),
        (403, "Forbidden", "<html>no</html>", "(403 Forbidden)"),
        (401, "Unauthorized", "", "does not know who asks (401 Unauthorized): give --token-file"),
        (401, "Unauthorized", "[1]", "(401 [1])"),
        (400, "Bad Request", '{"message": "Invalid input error"}', f"{HOST} refused (400 Invalid input error)"),
        (500, "Error", '{"code": 13}', "refused (500 Error)"),
    ],
    ids=["a mesh", "the API", "a page", "nothing", "a list", "bad input", "no text"],
)
def test_a_refusal_says_what_was_said_in_one_line(status: int, reason: str, body: str | bytes, said: str) -> None:
    from kubeflow.connection import describe_refusal, is_refusal

    error = kfp_server_api.ApiException(status=status, reason=reason)
    error.body = body
    line = describe_refusal(error, HOST, "team")
    assert said in line and "\n" not in line
    assert is_refusal(error) == (status in (401, 403))


def test_an_address_without_anybody_is_no_refusal() -> None:
    from kubeflow.connection import describe_refusal, is_refusal

    error = OSError("no such host")
    assert not is_refusal(error)
    assert "cannot be reached: OSError: no such host. --host is" in describe_refusal(error, HOST, None)
