"""The one error that a client is told: an HTTP status, and what it is called in gRPC."""

from enum import Enum


class Code(Enum):
    """TensorFlow Serving's error codes that occur here: gRPC's name, and the HTTP status that goes with it."""

    INVALID_ARGUMENT = 400
    UNAUTHENTICATED = 401
    NOT_FOUND = 404
    REQUEST_TIMEOUT = 408
    TOO_LARGE = 413
    RESOURCE_EXHAUSTED = 429
    INTERNAL = 500
    UNAVAILABLE = 503
    DEADLINE_EXCEEDED = 504


class ServiceError(Exception):
    """A request that is not answered as it wished.

    Attributes:
        code: Of what kind the reason is.
        message: What was received, what is allowed, what to do.
    """

    def __init__(self, code: Code, message: str):
        super().__init__(message)
        self.code, self.message = code, message
