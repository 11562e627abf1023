"""Checks that the image holds the code that compiled the pipeline."""

from crackgate.source_digest import code_digest

# These modules import or name all code that runs in a task.
_MODULES = ("kubeflow.task.imports", "kubeflow.task.node", "kubeflow.task.verdict", "pipeline.definition")


class SourcesError(Exception):
    """The image holds other code or packages than the pipeline was compiled with."""


def digest_of_sources() -> str:
    """Returns the SHA-256 of all code that runs in a task, versions of packages included."""
    return code_digest(*_MODULES)


def check_sources(compiled_with: str) -> None:
    """Raises SourcesError where the digests differ: TFX's cache keys stand for the compiled code."""
    here = digest_of_sources()
    if here != compiled_with:
        raise SourcesError(
            f"this image holds other sources of crackgate, or other versions of packages (digest {here[:12]}), than "
            f"the pipeline was compiled with ({compiled_with[:12]}), so that TFX's cache would mix up their results: "
            "compile the pipeline with the version, the lock and the extras that the image was built from, and without "
            "others (uv sync --frozen --no-dev --extra kubeflow), or build the image anew"
        )
