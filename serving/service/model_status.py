"""States of a model's versions, as TensorFlow Serving gives them; the JSON needs none of its protos."""

import json

from serving.service.errors import Code, ServiceError
from serving.service.model_versions import VersionStatus


def find_statuses(name: str, statuses: list[VersionStatus], number: int | None) -> list[VersionStatus]:
    """States of all versions, or of one; raises ServiceError (NOT_FOUND) where there is no such version."""
    wanted = [status for status in statuses if number is None or status.number == number]
    if not wanted:
        which = f"version {number}" if number is not None else "any version"
        raise ServiceError(Code.NOT_FOUND, f"Could not find {which} of model {name}")
    return wanted


def render_statuses(statuses: list[VersionStatus]) -> bytes:
    """The JSON of `GET /v1/models/NAME`."""
    entries = [
        {
            "version": str(status.number),
            "state": status.state,
            "status": {"error_code": "UNKNOWN" if status.error else "OK", "error_message": status.error},
        }
        for status in statuses
    ]
    return json.dumps({"model_version_status": entries}, indent=1).encode()
