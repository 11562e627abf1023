"""The error that a client receives: an HTTP status, and its name in gRPC."""

import math
from enum import Enum

_MOST_SHOWN = 80


class Code(Enum):
    """TensorFlow Serving's error codes that occur here: gRPC's name, and the HTTP status that goes with it."""

    INVALID_ARGUMENT = 400
    UNAUTHENTICATED = 401
    PERMISSION_DENIED = 403
    NOT_FOUND = 404
    REQUEST_TIMEOUT = 408
    TOO_LARGE = 413
    UNSUPPORTED_ENCODING = 415
    RESOURCE_EXHAUSTED = 429
    INTERNAL = 500
    UNAVAILABLE = 503
    DEADLINE_EXCEEDED = 504


class ServiceError(Exception):
    """A request that is refused; the message says what was received, what is allowed, what to do.

    `retry_seconds`: after so many whole seconds the same request may be answered; None where waiting does not help.
    """

    def __init__(self, code: Code, message: str, retry_seconds: int | None = None):
        super().__init__(message)
        self.code, self.message, self.retry_seconds = code, message, retry_seconds


def busy(reason: str, seconds: float) -> ServiceError:
    """The error for a request that has no room now, and may have some after so many `seconds`."""
    whole = max(1, math.ceil(seconds))
    return ServiceError(Code.RESOURCE_EXHAUSTED, f"{reason} try again in {whole} s", whole)


def invalid(message: str) -> ServiceError:
    """The error for a request that the service does not understand."""
    return ServiceError(Code.INVALID_ARGUMENT, message)


def shortened(text: str) -> str:
    """A client's own words, for a message or the log: 80 characters at most, all of them printable."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."


def unknown_model(name: str, served: str) -> ServiceError:
    """The error for a request to a model of another name."""
    return ServiceError(Code.NOT_FOUND, f"Could not find any versions of model {shortened(name)}; this one is {served}")
