"""`crackgate run`: from a folder of photographs to a released model, on this machine."""

import os

from crackgate.config.configuration import ConfigError
from crackgate.contracts.account import LISTED, NOT_IN_CLASS_FOLDER, AccountRow
from crackgate.data_set.data_set import DataSet
from crackgate.data_set.plausibility import describe_lack
from crackgate.gate.rules import gate_rules
from crackgate.images.image_folder import readable_path
from crackgate.runs.conclusion import conclude
from crackgate.runs.summary import Images, Summary
from crackgate.storage.cache import listed_once
from pipeline.beam_profiles import check_cluster, check_memory
from pipeline.heavy_imports import garbage_collection_paused
from pipeline.preconditions import (
    check_keys,
    check_own_models,
    check_released_classes,
    check_weights,
    find_positive_classes,
    resolve_data_set,
)
from pipeline.progress import ComponentEvents
from pipeline.request import RunRequest
from pipeline.run_record import record_run


@listed_once()
def run_pipeline(request: RunRequest) -> Summary:
    """Runs the pipeline, shows its progress and writes the summary and the report to `runs/<run id>/`.

    Raises:
        ConfigError: Data folder, classes, those in production, weights file, own models, keys, positive classes
            or gate do not fit, the Beam cluster does not answer, or the images do not fit into memory.
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
        WorkspaceUnusableError: The workspace cannot be written to, or TFX could not use its path.
    """
    config = request.config
    if request.workspace.root == request.data:
        raise ConfigError(f"--workspace: received {str(request.data)!r}, which is --data itself: choose another folder")
    request.warn(check_cluster(config.beam, [request.data, request.workspace.pipeline_root]))
    check_weights(config)
    check_own_models(config)
    check_keys(request.workspace.serving, config.release)
    data_set = resolve_data_set(request.data, config)
    check_memory(config.beam, len(data_set.images))
    request.warn(data_set.notes)
    classes = data_set.classes
    if len(classes) > 1:
        check_released_classes(request.workspace.serving, classes, config)
    positive = find_positive_classes(config, classes)
    gate_rules(classes, positive.names, config.gate)

    def work(summary: Summary, events: ComponentEvents) -> None:
        if len(classes) < 2:
            _reject_classes(summary, data_set)
            return
        with events.timed("starting TFX"), garbage_collection_paused():
            from pipeline.local_runner import execute_release_pipeline
        execute_release_pipeline(request, summary, events)

    return record_run(request, classes, positive, work)


def _reject_classes(summary: Summary, data_set: DataSet) -> None:
    files = [readable_path(os.fsencode(image.path)) for image in data_set.images[:LISTED]]
    found_files = len(data_set.images)
    reason = "no second class" if summary.classes else NOT_IN_CLASS_FOLDER
    rejected = [AccountRow(path=path, class_name="".join(summary.classes), reason=reason) for path in files]
    summary.images = Images(
        found=found_files,
        ignored=data_set.ignored,
        rejected=rejected,
        rejected_by_reason={reason: found_files} if files else {},
    )
    conclude(summary, {}, rejections=[f"{summary.data!r}: {describe_lack(data_set)}"])
