"""The parameters of a component that TFX stores and compares besides its inputs: options and code."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from tfx import types
from tfx.types.component_spec import ExecutionParameter

from crackgate.source_digest import code_digest

# The arguments of an executor's `Do`.
Artifacts = dict[str, list[types.Artifact]]
Properties = dict[str, Any]

# JSON of the validated options object.
OPTIONS = "options"
# Another digest is another cache key: see `crackgate.source_digest`.
CODE_DIGEST = "code_digest"

_Options = TypeVar("_Options", bound=BaseModel)

CODE_PARAMETERS = {CODE_DIGEST: ExecutionParameter(type=str)}
OPTIONS_PARAMETERS = {OPTIONS: ExecutionParameter(type=str), **CODE_PARAMETERS}


def digest_of(*code: type) -> dict[str, str]:
    """The parameter that makes TFX rerun a component after a change of its executor (and own driver)."""
    return {CODE_DIGEST: code_digest(*(each.__module__ for each in code))}


def options_or_defaults(options: _Options | None, kind: type[_Options]) -> _Options:
    """The options, or those of all defaults; raises TypeError for anything else, such as a dictionary."""
    if options is not None and not isinstance(options, kind):
        raise TypeError(
            f"options: received {options!r}; allowed is an object of {kind.__module__}, such as {kind.__name__}()"
        )
    return options or kind()


def check_classes(classes: Sequence[str], positive_classes: Sequence[str] = ()) -> None:
    """Raises ValueError unless there are two names or more, each once, and `positive_classes` are some of them."""
    if not _are_names(classes) or len(classes) < 2:
        raise ValueError(f"classes: received {classes!r}; allowed is a list of two names or more, each once")
    if not _are_names(positive_classes) or not set(positive_classes) <= set(classes):
        raise ValueError(f"positive_classes: received {positive_classes!r}; allowed is a list of some of {classes!r}")


def _are_names(given: Any) -> bool:
    """Whether these are names, each once; sets have no order, and dictionaries mean something else."""
    are_texts = isinstance(given, list | tuple) and all(isinstance(each, str) and each for each in given)
    return are_texts and len(set(given)) == len(given)


def options_and_digest(options: BaseModel, *code: type) -> dict[str, str]:
    """The options and the digest of the code."""
    return {OPTIONS: options.model_dump_json(), **digest_of(*code)}
