"""The configuration, validated: defaults, then a TOML file, then `--set` options."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, ValidationError

from crackgate.config.beam import BeamOptions
from crackgate.config.data import CLASS_FORMS, DataOptions
from crackgate.config.drift import DriftOptions
from crackgate.config.gate import GateOptions
from crackgate.config.kubeflow import KubeflowOptions
from crackgate.config.release import ReleaseOptions, looks_secret
from crackgate.config.schema import SchemaOptions
from crackgate.config.section import Section
from crackgate.config.serving_check import ServingCheckOptions
from crackgate.config.train import TrainOptions
from crackgate.config.tune import TuneOptions


class ConfigError(Exception):
    """The configuration cannot be used; the message is one line with field, value and allowed values."""


class Config(Section):
    """Everything that can be set."""

    data: DataOptions = DataOptions()
    data_schema: Annotated[SchemaOptions, Field(alias="schema")] = SchemaOptions()
    drift: DriftOptions = DriftOptions()
    train: TrainOptions = TrainOptions()
    tune: TuneOptions = TuneOptions()
    gate: GateOptions = GateOptions()
    serving_check: ServingCheckOptions = ServingCheckOptions()
    beam: BeamOptions = BeamOptions()
    release: ReleaseOptions = ReleaseOptions()
    kubeflow: KubeflowOptions = KubeflowOptions()

    def digest_of_model(self) -> str:
        """Returns the SHA-256 of the settings that decide a model, without those of the runner and the release."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"beam", "release", "kubeflow"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_config(file: Path | None = None, assignments: list[str] | None = None) -> Config:
    """Reads the configuration from a TOML file, or the defaults.

    Each assignment "section.field=value" overrides the file; a value that is not TOML is text. ConfigError means an
    unreadable file, or an unknown or bad field.
    """
    content = _read_toml(file) if file else {}
    for assignment in assignments or []:
        _assign(content, assignment)
    try:
        return Config.model_validate(_over(Config().model_dump(by_alias=True), content))
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def _over(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Merges section by section, so a change of one bound leaves the other."""
    merged = dict(defaults)
    for name, value in given.items():
        default = defaults.get(name)
        merged[name] = _over(default, value) if isinstance(default, dict) and isinstance(value, dict) else value
    return merged


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {str(file)!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of the bytes, the syntax, a number's length, the nesting
        raise ConfigError(f"{str(file)!r} is not valid TOML: {error}") from None


def _assign(content: dict[str, Any], assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    *sections, field = (part.strip() for part in path.split("."))
    if not equals or not sections or not all((*sections, field)):
        raise ConfigError(
            f"--set takes section.field=value, for example gate.min_accuracy=0.95; received {assignment!r}"
        )
    target = content
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"--set {assignment!r}: {section!r} is a value, not a section")
    target[field] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


def _one_line(error: ValidationError) -> str:
    return "; ".join(_describe(problem) for problem in error.errors())


# Plain messages for pydantic's about Python's types.
_PLAIN = {"tuple_type": 'Input should be a list, for example ["Negative", "Positive"]', "model_type": "It is a section"}


# Fields that earlier versions had, and what to write instead.
_REPLACED = {"train.positive_class": 'train.positive_classes, a list of names, for example ["Crack"]'}


def _describe(problem: Any) -> str:
    places = [part for part in map(str, problem["loc"]) if part not in CLASS_FORMS]
    path = [part if part.isprintable() else repr(part) for part in places]
    if replaced := _REPLACED.get(".".join(path)):
        return f"{'.'.join(path)}: received {problem['input']!r}, but it is no field any more; set {replaced}"
    if problem["type"] == "extra_forbidden":
        return f"{'.'.join(path)} is not a field; {_allowed_names(path[:-1])}"
    message = _PLAIN.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
    received = "a private key" if looks_secret(problem["input"]) else repr(problem["input"])
    return f"{'.'.join(path)}: received {received}: {message[0].lower()}{message[1:]}"


def _allowed_names(path: list[str]) -> str:
    section: type[BaseModel] = Config
    for name in path:
        if name.isdecimal():  # a position in a list, which has been stepped into
            continue
        fields = {field.alias or key: field for key, field in section.model_fields.items()}
        if name not in fields:  # the key of a table, such as a node's id
            continue
        annotation = fields[name].annotation
        inner = [each for each in get_args(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
        annotation = next(iter(inner), annotation)
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel), "only sections forbid extra fields"
        section = annotation
    names = ", ".join(field.alias or key for key, field in section.model_fields.items())
    return f"{'.'.join(path) or 'the configuration'} has {names}"
