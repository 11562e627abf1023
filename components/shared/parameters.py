"""The parameters of a component that TFX stores and compares besides its inputs: options and code."""

from typing import Any

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

CODE_PARAMETERS = {CODE_DIGEST: ExecutionParameter(type=str)}
OPTIONS_PARAMETERS = {OPTIONS: ExecutionParameter(type=str), **CODE_PARAMETERS}


def digest_of(*code: type) -> dict[str, str]:
    """The parameter that makes TFX rerun a component after a change of its executor (and own driver)."""
    return {CODE_DIGEST: code_digest(*(each.__module__ for each in code))}


def options_and_digest(options: BaseModel, *code: type) -> dict[str, str]:
    """The options and the digest of the code."""
    return {OPTIONS: options.model_dump_json(), **digest_of(*code)}
