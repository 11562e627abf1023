"""Values that components hand on as JSON."""

from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import JsonValue
from tfx.utils.json_utils import JsonableType


def write_json(artifact: JsonValue, value: JsonableType) -> None:
    """Writes the artifact's file, which its `read` reads.

    Its own `write` gives text to a file of bytes, and only TensorFlow's files take that.
    """
    with fileio.open(artifact.uri, "wb") as file:
        file.write(artifact.encode(value).encode("utf-8"))
