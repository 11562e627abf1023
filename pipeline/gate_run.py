"""`crackgate gate`: only the gate, on a model that may come from anywhere."""

from pathlib import Path

from crackgate.config.configuration import ConfigError
from crackgate.contracts.card import CardError, ClassifierCard, find_card
from crackgate.contracts.class_names import compose
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.data_set.class_setting import class_setting
from crackgate.gate.rules import gate_rules
from crackgate.model.graph_operations import ForbiddenOperationError, check_operations
from crackgate.model.saved_graph import read_saved_model
from crackgate.runs.log_file import silence_output
from crackgate.runs.summary import Summary
from crackgate.storage.cache import listed_once
from pipeline.beam_profiles import check_cluster, check_memory
from pipeline.heavy_imports import garbage_collection_paused
from pipeline.preconditions import check_model, find_positive_classes, resolve_data_set
from pipeline.progress import ComponentEvents
from pipeline.request import RunRequest
from pipeline.run_record import record_run

_SIGNATURES = ("serving_default", "predict_images")


@listed_once()
def judge_model(request: RunRequest, model: Path) -> Summary:
    """Judges a SavedModel with our two signatures by all images in the data folder.

    The model's card gives class names, their order and the positive classes; without a card, the sorted folders are the
    classes. `[data]`, but for the split, and `[gate]` matter.

    Raises:
        ConfigError: `model` is no such model, or lacks the signature that is required; the data folder has other
            classes; the gate names an unknown class or slice; the Beam cluster does not answer; or memory
            cannot hold the images.
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
        WorkspaceUnusableError: The workspace cannot be written to, or TFX could not use its path.
    """
    data, config = request.data, request.config
    if not (model / "saved_model.pb").is_file():
        raise ConfigError(f"--model: received {str(model)!r}, which is no SavedModel: it has no saved_model.pb")
    request.warn(check_cluster(config.beam, [data, request.workspace.pipeline_root]))
    check_model(model, config.release)
    data_set = resolve_data_set(data, config)
    check_memory(config.beam, len(data_set.images))
    request.warn(data_set.notes)
    found = data_set.classes
    card = _read_card(model) or ClassifierCard(classes=found)
    classes = card.classes
    if sorted(map(compose, classes)) == sorted(map(compose, found)) and sorted(classes) != sorted(found):
        raise ConfigError(
            f"--data: the folders in {str(data)!r} and the model's classes, {', '.join(map(repr, classes))}, have "
            f"accents in different forms of Unicode: name the classes as the model does: {class_setting(classes)}"
        )
    if sorted(classes) != sorted(found):
        raise ConfigError(
            f"--data: {str(data)!r} has the classes {', '.join(map(repr, found)) or 'none'}, the model has "
            f"{', '.join(map(repr, classes))}: give a folder with a sub-folder of images for each of them, and no other"
        )
    if len(classes) < 2:
        raise ConfigError(f"--data: {str(data)!r} has {len(classes)} class: a classifier has two or more")
    says_positive = "positive_classes" in card.model_fields_set
    if says_positive:
        positive = PositiveClasses(names=card.positive_classes, chosen_by="card" if card.positive_classes else None)
    else:
        positive = find_positive_classes(config, classes)
    gate_rules(classes, positive.names, config.gate)
    _check_signatures(model, classes)

    def work(summary: Summary, events: ComponentEvents) -> None:
        summary.judges_only = True
        with events.timed("starting TFX"), garbage_collection_paused():
            from pipeline.gate_pipeline import execute_gate_pipeline
        execute_gate_pipeline(request, summary, model, events)

    return record_run(request, classes, positive, work)


def _read_card(model: Path) -> ClassifierCard | None:
    try:
        return find_card(model)
    except CardError as error:
        raise ConfigError(f"--model: {error}") from None


def _check_signatures(model: Path, classes: list[str]) -> None:
    from google.protobuf.message import DecodeError

    try:
        # Only the protocol buffer: the model itself is loaded where it is evaluated.
        with silence_output():
            stored = read_saved_model(model)
            check_operations(model)
    except ForbiddenOperationError as error:
        raise ConfigError(f"--model: {error}") from None
    except (OSError, DecodeError) as error:
        raise ConfigError(f"--model: cannot read {str(model / 'saved_model.pb')!r}: {error}") from None
    signatures = {name: value for graph in stored.meta_graphs for name, value in graph.signature_def.items()}
    missing = [name for name in _SIGNATURES if name not in signatures]
    if missing:
        raise ConfigError(
            f"--model: {str(model)!r} has no signature {', '.join(map(repr, missing))}: serving_default has to take "
            "serialized tf.train.Examples, and predict_images the bytes of image files"
        )
    outputs = signatures["serving_default"].outputs
    if "scores" not in outputs:
        raise ConfigError(
            f"--model: serving_default of {str(model)!r} gives {', '.join(map(repr, sorted(outputs)))}; it has to give "
            "'scores' (images, classes), and may give 'label', its decision"
        )
    shape = outputs["scores"].tensor_shape.dim
    if len(shape) == 2 and shape[1].size not in (-1, len(classes)):
        raise ConfigError(
            f"--model: serving_default of {str(model)!r} gives {shape[1].size} scores an image, and there are "
            f"{len(classes)} classes: {', '.join(map(repr, classes))}"
        )
