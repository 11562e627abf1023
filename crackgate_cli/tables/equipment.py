"""The output of `crackgate doctor`, for people."""

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from crackgate.machine import Equipment


def print_equipment(console: Console, equipment: list[Equipment]) -> None:
    """Prints a line for each part, and for those that are not there what to do."""
    table = Table("part", "", Column("found", overflow="fold"), "needed for")
    for each in equipment:
        table.add_row(each.name, _say_state(each), escape(each.found), escape(each.needed_for))
    console.print(table)
    for each in equipment:
        if not each.is_there and not each.is_required:
            console.print(f"for {each.name}: {escape(each.advice)}", highlight=False, soft_wrap=True)


def _say_state(each: Equipment) -> str:
    if each.is_there:
        return "[green]ok[/]"
    return "[bold red]missing[/]" if each.is_required else "[yellow]not there[/]"
