"""The networks of `crackgate export` side by side."""

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from crackgate.contracts.metric_names import ACCURACY, PRECISION, RECALL
from crackgate.gate.measurement import read_estimate
from crackgate.gate.metrics import Key
from crackgate.gate.wording import say_estimate, say_metric
from serving.export.export import FLOAT32, INT8, SAVED_MODEL, Export
from serving.export.record import saved_model_bytes

_TITLES = {SAVED_MODEL: "SavedModel", FLOAT32: "float32", INT8: "int8"}


def print_networks(console: Console, result: Export) -> None:
    """Prints metrics, agreement, size and speed of all networks."""
    networks, classes = result.networks, result.model.classes
    table = Table("", *(Column(_TITLES[name], justify="right") for name in networks))
    keys: list[Key] = [
        (ACCURACY, None),
        *((name, label) for name in (PRECISION, RECALL) for label in range(len(classes))),
    ]
    for name, label in keys:
        values = (say_estimate(read_estimate(each.measurement.metrics, name, label)) for each in networks.values())
        table.add_row(escape(say_metric(name, None if label is None else classes[label])), *values)
    table.add_row("label agreement", *(f"{each.agreement:.4f}" for each in networks.values()))
    table.add_row("largest score difference", *(f"{each.largest_difference:.1g}" for each in networks.values()))
    sizes = {name: sum(map(len, files.values())) for name, files in result.files.items()}
    sizes[SAVED_MODEL] = saved_model_bytes(result.model.place)
    table.add_row("size", *(f"{sizes[name] / 1e6:.1f} MB" for name in networks))
    table.add_row("images/s, one at a time", *(f"{each.images_per_second:.0f}" for each in networks.values()))
    console.print(table)
