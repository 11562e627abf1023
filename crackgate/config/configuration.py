"""The configuration, validated: defaults, then a TOML file, then `--set` options."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
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
    """The configuration cannot be used; its arguments are sentences with field, value and allowed values."""

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


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


@dataclass(frozen=True)
class Given:
    """A user's settings: the content of a file with `--set` options over it, and of these options alone."""

    content: dict[str, Any]
    assigned: dict[str, Any]

    def origin(self, field: str) -> str:
        """Returns "--set", "file" or "default" for a field such as "gate.min_recall"."""
        path = field.split(".")
        return "--set" if _holds(self.assigned, path) else "file" if _holds(self.content, path) else "default"


def load_config(file: Path | None = None, assignments: list[str] | None = None) -> Config:
    """Reads the configuration from a TOML file, or the defaults.

    Each assignment "section.field=value" overrides the file; a value that is not TOML is text. ConfigError means an
    unreadable file, or unknown or bad fields, all of them.
    """
    return load_given(file, assignments)[0]


def load_given(file: Path | None = None, assignments: list[str] | None = None) -> tuple[Config, Given]:
    """As `load_config`, with what of it was given."""
    problems: list[str] = []
    given = Given({}, {})
    try:
        given.content.update(_read_toml(file) if file else {})
    except ConfigError as error:
        problems.append(str(error))
    for assignment in assignments or []:
        try:
            _assign(given.content, assignment)
            _assign(given.assigned, assignment)
        except ConfigError as error:
            problems.append(str(error))
    try:
        config = Config.model_validate(_over(Config().model_dump(by_alias=True), given.content))
    except ValidationError as error:
        problems += map(_describe, error.errors())
    if problems:
        raise ConfigError(*problems)
    return config, given


def flatten(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of a configuration by their names, such as "train.views"."""
    fields: dict[str, Any] = {}
    for name, value in section.items():
        fields |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return fields


def _holds(content: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(content, dict) or name not in content:
            return False
        content = content[name]
    return True


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
            f"--set takes section.field=value, for example gate.min_accuracy=0.95; received {_shown(assignment)}"
        )
    if any("\ud800" <= character <= "\udfff" for character in assignment):
        raise ConfigError(
            f"--set {_shown(assignment)}: its bytes are no UTF-8, which is all that a configuration can hold: rename "
            "the file or folder, or leave such a character out"
        )
    target = content
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"--set {_shown(assignment)}: {section!r} is a value, not a section")
    target[field] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


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
        return f"{'.'.join(path)} is not a field; {_say_names(path)}"
    message = _PLAIN.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(path)}: received {_shown(problem['input'])}: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    return "a private key" if looks_secret(value) else repr(value)


def _say_names(path: list[str]) -> str:
    """All names that stand where the last one of the path stood, and the nearest to it."""
    *place, wrong = path
    section: type[BaseModel] = Config
    for name in place:
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
    names = [field.alias or key for key, field in section.model_fields.items()]
    close = get_close_matches(wrong, names, n=1)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"{'.'.join(place) or 'the configuration'} has {', '.join(names)}{hint}"
