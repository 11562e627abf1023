"""Checks before a run begins: classes, weights and the signing key."""

from pathlib import Path

from crackgate.config.configuration import Config, ConfigError
from crackgate.images.image_folder import find_classes
from crackgate.model.positive_class import resolve_positive_class


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


def find_positive_class(config: Config, classes: list[str]) -> str | None:
    """Returns the positive class, or None; raises ConfigError if there is no such class, or several may be meant."""
    try:
        return resolve_positive_class(config.train.positive_class, classes)
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
