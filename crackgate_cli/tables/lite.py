"""The table of `crackgate export-tflite`."""

import math

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from crackgate.contracts import metric_names
from crackgate.gate.metrics import Key
from serving.lite.export import FLOAT32, INT8, SAVED_MODEL, Export
from serving.lite.record import saved_model_bytes

_TITLES = {SAVED_MODEL: "SavedModel", FLOAT32: "float32", INT8: "int8"}


def print_networks(console: Console, result: Export) -> None:
    """Prints the figures of all networks side by side."""
    judged = result.judged
    table = Table("", *(Column(_TITLES[name], justify="right") for name in judged))
    for title, key in _shown(result.model.classes):
        table.add_row(escape(title), *(_share(each.figures[key]) for each in judged.values()))
    table.add_row("label agreement", *(_share(each.agreement) for each in judged.values()))
    table.add_row("largest score difference", *(f"{each.largest_difference:.1g}" for each in judged.values()))
    sizes = {SAVED_MODEL: saved_model_bytes(result.model.folder), FLOAT32: len(result.float32)}
    if result.int8 is not None:
        sizes[INT8] = len(result.int8)
    table.add_row("size", *(f"{sizes[name] / 1e6:.1f} MB" for name in judged))
    table.add_row("images/s, one at a time", *(f"{each.images_per_second:.0f}" for each in judged.values()))
    console.print(table)


def _shown(classes: list[str]) -> list[tuple[str, Key]]:
    rows: list[tuple[str, Key]] = [("accuracy", (metric_names.ACCURACY, None))]
    for name in (metric_names.PRECISION, metric_names.RECALL):
        rows += [(f"{name} of {each}", (name, label)) for label, each in enumerate(classes)]
    return rows


def _share(value: float) -> str:
    return "no number" if math.isnan(value) else f"{value:.4f}"
