"""The output of `crackgate prune`, for people."""

from rich.console import Console
from rich.table import Column, Table

from crackgate.plural import counted
from crackgate.runs.leftovers import Leftover


def print_leftovers(console: Console, leftovers: list[Leftover], dry_run: bool) -> None:
    """Prints folders and sizes by component, and their sum."""
    table = Table("component", Column("folders", justify="right"), Column("MiB", justify="right"))
    for owner in dict.fromkeys(leftover.owner for leftover in leftovers):
        sizes = [leftover.bytes for leftover in leftovers if leftover.owner == owner]
        table.add_row(owner, str(len(sizes)), f"{sum(sizes) / 2**20:.1f}")
    if leftovers:
        console.print(table)
    done = "would be removed: run without --dry-run" if dry_run else "removed"
    total = sum(leftover.bytes for leftover in leftovers) / 2**20
    console.print(f"{total:.1f} MiB in {counted(len(leftovers), 'folder')} {done}", highlight=False, soft_wrap=True)
