"""Whether the image holds the code that the pipeline was compiled with."""

from crackgate.source_digest import source_digest

_SOURCES = ("crackgate", "pipeline", "components", "trainer", "serving", "kubeflow")


class SourcesError(Exception):
    """The image holds other code than the pipeline was compiled with."""


def digest_of_sources() -> str:
    """SHA-256 of all that runs in a task."""
    return source_digest(*_SOURCES)


def check_sources(compiled_with: str) -> None:
    """Refuses to run other code than the digests in TFX's cache keys stand for.

    Raises:
        SourcesError: The digests differ.
    """
    here = digest_of_sources()
    if here != compiled_with:
        raise SourcesError(
            f"this image holds other sources of crackgate (digest {here[:12]}) than the pipeline was compiled with "
            f"({compiled_with[:12]}), so that TFX's cache would mix up their results: compile the pipeline with the "
            "version that the image was built from, or build the image anew"
        )
