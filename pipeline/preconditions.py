"""Checks before a run begins: classes, weights and the signing key."""

import json
from pathlib import Path

from crackgate.config.configuration import Config, ConfigError
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.images.image_folder import find_classes
from crackgate.model.positive_classes import resolve_positive_classes


def resolve_classes(data: Path, config: Config) -> list[str]:
    """Returns the class names in label order; raises ConfigError if `data` is no folder or lacks a configured class."""
    if not data.is_dir():
        raise ConfigError(f"--data: received {str(data)!r}, which is no folder; give one with a sub-folder per class")
    if not str(data).isprintable():
        raise ConfigError(f"--data: received {str(data)!r}; TFX needs a path of printable UTF-8: rename or link it")
    found = find_classes(data)
    missing = [name for name in config.data.classes if name not in found]
    if missing:
        raise ConfigError(
            f"data.classes: received {', '.join(map(repr, missing))}, but {str(data)!r} has no such folder of files; "
            f"it has {', '.join(map(repr, found)) or 'none'}"
        )
    return list(config.data.classes) or found


def find_positive_classes(config: Config, classes: list[str]) -> PositiveClasses:
    """Returns the positive classes.

    Raises ConfigError if there is no such class or no other, and if which of two classes it is cannot be told by name:
    with two, one is nearly always to be found.
    """
    try:
        positive = resolve_positive_classes(config.train.positive_classes, classes)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if len(classes) == 2 and not positive.names:
        example = json.dumps(classes[:1], ensure_ascii=False)
        raise ConfigError(
            f"train.positive_classes: received nothing, and the names {classes[0]!r} and {classes[1]!r} do not say "
            f"which class must not be missed: set it, for example --set 'train.positive_classes={example}'"
        )
    return positive


def check_weights(config: Config) -> None:
    """Raises ConfigError where there is no such file of weights."""
    weights = config.train.weights
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ConfigError(
            f"train.weights: received {weights!r}, allowed are 'imagenet', 'none' or the path of a weights file"
        )


def check_signing_key(config: Config) -> None:
    """Raises ConfigError, before hours of training, where the key cannot be used."""
    if config.release.signing_key:
        from crackgate.releases.signatures import KeyFileError, load_signer

        try:
            load_signer(config.release.signing_key)
        except KeyFileError as error:
            raise ConfigError(f"release.signing_key: {error}") from None
