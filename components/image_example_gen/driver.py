"""The driver of ImageExampleGen, which detects changes of the image folder."""

from collections.abc import Iterable
from pathlib import Path

from tfx.components.example_gen import driver, input_processor
from tfx.proto import example_gen_pb2, range_config_pb2

from crackgate.images.image_folder import fingerprint


class ImageFolderProcessor(input_processor.InputProcessor):
    """One unversioned span: the whole folder.

    TFX's own processor sums up whole seconds, so it misses an image that moved to another class.
    """

    def __init__(self, folder: Path, splits: Iterable[example_gen_pb2.Input.Split]):
        super().__init__(splits)
        self._folder = folder

    def get_pattern_for_span_version(self, pattern: str, span: int, version: int | None) -> str:  # noqa: ARG002
        """The pattern unchanged, since it names no span."""
        return pattern

    def get_latest_span(self) -> int:
        """Always 0."""
        return 0

    def get_input_fingerprint(self, span: int, version: int | None) -> str:  # noqa: ARG002
        """Changes whenever a file is added, removed, renamed, moved or rewritten."""
        return fingerprint(self._folder)


class ImageFolderDriver(driver.Driver):
    """Resolves the folder's fingerprint before the cache look-up."""

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,  # noqa: ARG002
        input_base_uri: str | None = None,
    ) -> ImageFolderProcessor:
        """Returns the processor of the component's `input_base`."""
        assert input_base_uri is not None, "the component's specification requires it"
        return ImageFolderProcessor(Path(input_base_uri), splits)
