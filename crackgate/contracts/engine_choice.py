"""The choice of the engine that computes a released model's scores."""

from enum import StrEnum


class EngineChoice(StrEnum):
    """The fastest that agrees with the SavedModel, or TensorFlow, which the gate judged, for every image."""

    FASTEST = "fastest"
    TENSORFLOW = "tensorflow"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"engine: received {value!r}, allowed are {' and '.join(repr(each.value) for each in cls)}")
