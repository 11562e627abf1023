"""`crackgate gate`: only the gate, on a model that may come from anywhere."""

from pathlib import Path

from rich.console import Console

from crackgate.config.configuration import Config, ConfigError
from crackgate.contracts.card import CardError, ClassifierCard, find_card
from crackgate.gate.rules import gate_rules
from crackgate.runs.log_file import silence_output
from crackgate.runs.summary import Summary
from crackgate.runs.workspace import Workspace
from pipeline.heavy_imports import garbage_collection_paused
from pipeline.preconditions import find_positive_class, resolve_classes
from pipeline.progress import ComponentEvents
from pipeline.run_record import record_run

_SIGNATURES = ("serving_default", "predict_images")


def gate_model(
    console: Console,
    model: Path,
    data: Path,
    config: Config,
    workspace: Workspace,
    enable_cache: bool = True,
    verbose: bool = False,
) -> Summary:
    """Judges a model by all images in a folder, which has one sub-folder per class of the model.

    Class names and their order are those of the model's `assets.extra/classifier.json`; without one, those of the
    folders, sorted. It names the positive class, too.

    Args:
        console: Not standard output itself, which is redirected to the log file during the run.
        model: Absolute path of a SavedModel with our two signatures.
        data: Absolute path of the image folder.
        config: The configuration; of `[data]` all but the split, and `[gate]` matter.
        workspace: Where everything is written.
        enable_cache: Whether components may take over outputs of earlier runs.
        verbose: Show every log line on the terminal.

    Raises:
        ConfigError: `model` is no such model, `data` has other classes than it, the gate names a class or slice that
            does not exist, or the cluster that `config.beam` names does not answer.
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
    """
    if not (model / "saved_model.pb").is_file():
        raise ConfigError(f"--model: received {str(model)!r}, which is no SavedModel: it has no saved_model.pb")
    found = resolve_classes(data, config)
    card = _read_card(model) or ClassifierCard(classes=found)
    classes = card.classes
    if sorted(classes) != sorted(found):
        raise ConfigError(
            f"--data: {str(data)!r} has the classes {', '.join(map(repr, found)) or 'none'}, the model has "
            f"{', '.join(map(repr, classes))}: give a folder with a sub-folder of images for each of them, and no other"
        )
    if len(classes) < 2:
        raise ConfigError(f"--data: {str(data)!r} has {len(classes)} class: a classifier has two or more")
    says_positive = "positive_class" in card.model_fields_set
    positive = card.positive_class if says_positive else find_positive_class(config, classes)
    gate_rules(classes, positive, config.gate)
    _check_signatures(model, classes)

    def work(summary: Summary, events: ComponentEvents) -> None:
        summary.judges_only = True
        with events.timed("starting TFX"), garbage_collection_paused():
            from pipeline.gate_pipeline import execute_gate_pipeline
        execute_gate_pipeline(summary, model, positive, config, workspace, events, enable_cache)

    return record_run(console, data, classes, config, workspace, verbose, work)


def _read_card(model: Path) -> ClassifierCard | None:
    try:
        return find_card(model)
    except CardError as error:
        raise ConfigError(f"--model: {error}") from None


def _check_signatures(model: Path, classes: list[str]) -> None:
    with silence_output():
        # Only the protocol buffer: the model itself is loaded where it is evaluated.
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf import saved_model_pb2

    try:
        stored = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
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
