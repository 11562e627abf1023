"""Checks before a run begins: classes, also those in production, weights, own models and the signing key."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crackgate.config.configuration import Config, ConfigError
from crackgate.config.release import ReleaseOptions
from crackgate.contracts.errors import WrongQuestionError
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.data_set.augmented_names import describe_augmented
from crackgate.data_set.data_set import DataSet, find_data_set
from crackgate.data_set.plausibility import check_plausible
from crackgate.data_set.sequences import describe_sequences
from crackgate.model.positive_classes import resolve_positive_classes
from crackgate.own_code import OwnCodeError, digest_own, is_own
from crackgate.releases import UntrustedVersionError, check_trusted, find_other_classes
from crackgate.storage.location import Location, is_url
from crackgate.storage.object_store import StorageError

if TYPE_CHECKING:
    from crackgate.releases.signatures import PublicKey


def resolve_data_set(data: Location, config: Config) -> DataSet:
    """Returns the images of `data` with their classes in label order; its notes hold the warnings, too.

    Raises ConfigError if `data` is no folder, cannot be listed, or does not say what is to be learnt.
    """
    if not is_url(data) and not Path(data).is_dir():
        raise ConfigError(f"--data: received {str(data)!r}, which is no folder; give one with a sub-folder per class")
    if not str(data).isprintable():
        raise ConfigError(f"--data: received {str(data)!r}; TFX needs a path of printable UTF-8: rename or link it")
    options = config.data
    try:
        found = find_data_set(data, options)
        warnings = check_plausible(data, found, bool(options.classes or options.labels), options.max_rejected_share)
    except WrongQuestionError as error:
        raise ConfigError(f"--data {str(data)!r}: {error}") from None
    except OSError as error:
        raise ConfigError(f"--data: cannot list {str(data)!r}: {error.strerror}") from None
    except StorageError as error:
        raise ConfigError(f"--data: {error}") from None
    if is_url(data) and not found.images and not found.ignored:
        raise ConfigError(f"--data: received {data!r}, and no file lies below this prefix: correct it")
    if not options.group_by and not any(image.group for image in found.images):
        warnings += describe_augmented(found.images) or describe_sequences(found.images)
    return replace(found, notes=[*found.notes, *warnings])


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
        ways = " or ".join(
            "--set " + shlex.quote(f"train.positive_classes={json.dumps([name], ensure_ascii=False)}")
            for name in classes
        )
        raise ConfigError(
            f"train.positive_classes: received nothing, and the names {classes[0]!r} and {classes[1]!r} do not say "
            f"which class must not be missed: set it, {ways}"
        )
    return positive


def check_released_classes(serving_dir: Path, classes: list[str], config: Config) -> None:
    """Raises ConfigError where the version in production has other classes, unless the configuration allows it."""
    if not config.release.allow_other_classes and (sentence := find_other_classes(serving_dir, classes)):
        raise ConfigError(f"data.classes: {sentence}")


def check_weights(config: Config) -> None:
    """Raises ConfigError where there is no such file of weights."""
    weights = config.train.weights
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ConfigError(
            f"train.weights: received {weights!r}, allowed are 'imagenet', 'none' or the path of a weights file"
        )


def check_own_models(config: Config) -> None:
    """Raises ConfigError, before the images are read, where a model of the user's own cannot be used."""
    check_own_code(config)
    train = config.train
    try:
        # The trainer takes seconds to import.
        if is_own(train.backbone):
            from trainer.network.own_backbone import own_backbone

            own_backbone(train.backbone, train.image_size, train.weights)
        if train.augmentation:
            from trainer.augmentation.own_augmentation import own_augmentation

            own_augmentation(train.augmentation, train.image_size, train.seed)
    except OwnCodeError as error:
        raise ConfigError(str(error)) from error


def check_own_code(config: Config) -> None:
    """Raises ConfigError where there is no source of a function of the user's own, or none that Python can read."""
    try:
        digest_own(config.train.own_functions())
    except OwnCodeError as error:
        raise ConfigError(str(error)) from error


def check_keys(serving_dir: Path, options: ReleaseOptions) -> None:
    """Raises ConfigError, before hours of training, where a key cannot be used, or is not the one that must sign."""
    from crackgate.releases.signatures import KeyFileError, find_wrong_signer, load_signer

    try:
        signer = load_signer(options.signing_key) if options.signing_key else None
    except KeyFileError as error:
        raise ConfigError(f"release.signing_key: {error}") from None
    if sentence := find_wrong_signer(signer, find_public_key(serving_dir, options)):
        raise ConfigError(sentence)


def check_model(model: Path, options: ReleaseOptions) -> None:
    """Raises ConfigError where a model that is to be judged lacks the signature that is required."""
    try:
        check_trusted(model, find_public_key(model.parent, options))
    except UntrustedVersionError as error:
        raise ConfigError(f"--model: {error}") from None


def find_public_key(serving_dir: Path, options: ReleaseOptions) -> "PublicKey | None":
    """The key that must have signed, from the configuration or the serving directory; raises ConfigError."""
    from crackgate.releases.signatures import KeyFileError, load_public_key, recorded_key

    try:
        return load_public_key(Path(options.public_key)) if options.public_key else recorded_key(serving_dir)
    except KeyFileError as error:
        place = "release.public_key" if options.public_key else f"release.pub of {str(serving_dir)!r}"
        raise ConfigError(f"{place}: {error}") from None
