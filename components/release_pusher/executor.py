"""The work of ReleasePusher.

With `release.approval`, the model is staged: `pushed` is 1, `pushed_staged`, too, and `pushed_destination` names the
folder that the version gets when a person approves it. A withdrawn model is not released again: `pushed` is 0, and
`pushed_version` and `pushed_destination` name its version. The cache may return these outcomes after that version was
approved or reinstated.
"""

import logging
from pathlib import Path

from tfx import types
from tfx.components.evaluator import constants
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.evaluator.stored_metrics import read_slices
from components.resolvers.baseline import copied_version
from components.shared.local_artifact import local_path
from components.shared.parameters import OPTIONS, Artifacts, Properties
from crackgate.config.release import ReleaseOptions
from crackgate.contracts import metric_names
from crackgate.contracts.card import ClassifierCard, find_card
from crackgate.contracts.evaluation import ALL_IMAGES, MetricValue
from crackgate.contracts.pushed_model import PUSHED, PUSHED_DESTINATION, PUSHED_STAGED, PUSHED_VERSION
from crackgate.gate.measurement import read_metrics
from crackgate.releases import (
    Lineage,
    Release,
    ServingDirectoryError,
    State,
    find_other_classes,
    find_withdrawn_model,
    is_model,
    production_number,
    production_version,
    publish,
    read_manifest,
    remove_old_versions,
    verify,
    versions_newest_first,
)
from crackgate.releases.identity import find_identity
from crackgate.releases.manifest import measure_model
from crackgate.releases.signatures import Signer, find_wrong_signer, load_public_key, load_signer, recorded_key

log = logging.getLogger("crackgate")


class ReleasePusherExecutor(base_executor.BaseExecutor):
    """Releases or stages the model unless it did not pass, was withdrawn, or is in production or staged already."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Releases or stages the model and records that in `pushed_model`.

        Raises ServingDirectoryError for an unwritable serving directory, or one whose version in production has other
        classes or takes no version without another signature, KeyFileError for an unusable key.
        Nothing was released then.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not _passed(input_dict):
            pushed.set_int_custom_property(PUSHED, 0)
            return
        model = local_path(path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"])))
        serving_dir = Path(exec_properties["serving_dir"])
        options = ReleaseOptions.model_validate_json(exec_properties[OPTIONS])
        _check_classes(model, serving_dir, options)
        signer = load_signer(options.signing_key) if options.signing_key else None
        _check_signer(signer, serving_dir, options)
        digest, identity = measure_model(model), find_identity(model)
        withdrawn = find_withdrawn_model(serving_dir, digest, identity)
        if withdrawn is not None:
            log.info("not released: the model is that of version %d, which was withdrawn", withdrawn.number)
            _record(pushed, 0, serving_dir / str(withdrawn.number))
            return
        found = _find_in_place(serving_dir, State.RELEASED, digest, identity, signer)
        if found is None and options.approval:
            found = _find_in_place(serving_dir, State.STAGED, digest, identity, signer)
            pushed.set_int_custom_property(PUSHED_STAGED, 1)
        if found is None:
            release = self._describe(model, identity, input_dict, exec_properties)
            statistics = local_path(artifact_utils.get_single_uri(input_dict["statistics"]))
            against = _compared_with(input_dict, model, serving_dir, digest, identity) if options.approval else None
            found = publish(model, serving_dir, release, signer, statistics, against)
        _record(pushed, 1, serving_dir / found.name)
        _remove_old(serving_dir, options.keep)

    def _describe(
        self, model: Path, identity: str | None, input_dict: Artifacts, exec_properties: Properties
    ) -> Release:
        context = self._context
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        evaluation = artifact_utils.get_single_instance(input_dict["evaluation"])
        lineage = Lineage(
            pipeline=context.pipeline_info.id if context and context.pipeline_info else "",
            run_id=(context.pipeline_run_id or "") if context else "",
            # TFX's name for the execution's id in ML Metadata.
            execution=int(context._unique_id or 0) if context else 0,
            artifacts={name: artifacts[0].id for name, artifacts in input_dict.items() if artifacts},
            data_fingerprint=examples.get_string_custom_property(FINGERPRINT_PROPERTY_NAME),
        )
        return Release(
            lineage=lineage,
            metrics=_read_metrics(evaluation.uri, model),
            config_digest=exec_properties["config_digest"],
            identity=identity,
        )


def _check_classes(model: Path, serving_dir: Path, options: ReleaseOptions) -> None:
    """A run on this machine asks before it starts; elsewhere only this component sees the serving directory."""
    card = find_card(model)
    if card and not options.allow_other_classes and (sentence := find_other_classes(serving_dir, card.classes)):
        raise ServingDirectoryError(sentence)


def _check_signer(signer: Signer | None, serving_dir: Path, options: ReleaseOptions) -> None:
    """As `_check_classes`."""
    key = load_public_key(Path(options.public_key)) if options.public_key else recorded_key(serving_dir)
    if sentence := find_wrong_signer(signer, key):
        raise ServingDirectoryError(f"{sentence}; nothing was released")


def _read_metrics(evaluation: str, model: Path) -> list[MetricValue]:
    """The number of test images, and all metrics on them."""
    found = read_slices(evaluation)[ALL_IMAGES].metrics
    card = find_card(model) or ClassifierCard(classes=[])
    images = MetricValue(metric=metric_names.IMAGES, value=found.get((metric_names.IMAGES, None)))
    return [images, *read_metrics(found, card.classes, card.positive_classes)]


def _record(pushed: types.Artifact, whether: int, folder: Path) -> None:
    pushed.set_int_custom_property(PUSHED, whether)
    pushed.set_string_custom_property(PUSHED_DESTINATION, str(folder))
    pushed.set_string_custom_property(PUSHED_VERSION, folder.name)


def _passed(input_dict: Artifacts) -> bool:
    if not model_utils.is_model_blessed(artifact_utils.get_single_instance(input_dict["model_blessing"])):
        log.info("not released: the Evaluator did not bless the model")
        return False
    if not all(model_utils.is_infra_validated(blessing) for blessing in input_dict.get("infra_blessing", [])):
        log.info("not released: the model cannot be served as it should")
        return False
    return True


def _compared_with(input_dict: Artifacts, model: Path, serving_dir: Path, digest: str, identity: str | None) -> int:
    """The version that the Evaluator compared with: another one may be in production since; 0 without one.

    The version in production where that is this model or has other classes, so that it cannot be compared, and where
    the baseline was a model of others.
    """
    blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
    baseline = blessing.get_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY)
    compared = copied_version(baseline) if baseline else 0
    folder, card = production_version(serving_dir), find_card(model)
    if folder is None:
        return compared or 0
    is_same = is_model(folder, read_manifest(folder), digest, identity)
    if compared is None or is_same or (card and find_other_classes(serving_dir, card.classes)):
        return int(folder.name)
    return compared


def _find_in_place(
    serving_dir: Path, state: State, digest: str, identity: str | None, signer: Signer | None
) -> Path | None:
    """The version in production, or staged since that is in production, if it is this model, trained perhaps anew."""
    production = production_number(serving_dir)
    for version in versions_newest_first(serving_dir, state):
        manifest = version.manifest
        if manifest is None or production not in (version.number, manifest.staged_against):
            continue
        if not verify(version.folder).intact or not is_model(version.folder, manifest, digest, identity):
            continue
        if signer is None or signer.has_signed(version.folder, manifest):
            log.info("version %d, which is %s, is this model: nothing to release", version.number, state)
            return version.folder
    return None


def _remove_old(serving_dir: Path, keep: int) -> None:
    """Removes old versions; an error does not undo the release."""
    try:
        removed = remove_old_versions(serving_dir, keep)
    except ServingDirectoryError as error:
        log.warning("old versions could not be removed: %s", error)
        return
    if removed:
        log.info("removed, since release.keep is %d: versions %s", keep, ", ".join(map(str, removed)))
