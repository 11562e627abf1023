"""Options and arguments that take a path of this machine: a URL is refused before anything starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from crackgate.storage.location import looks_like_url
from crackgate_cli.options import EXIT_USAGE, fail


class LocalPathsCommand(TyperCommand):
    """A command whose parameters of the type `Path` refuse URLs, of which `Path` would make other names."""

    def invoke(self, ctx: Any) -> Any:
        """Ends the command for a URL in place of a path."""
        _refuse_urls(ctx)
        return super().invoke(ctx)


class _LocalPathsGroup(TyperGroup):
    """As `LocalPathsCommand`, for options before a command's name."""

    def invoke(self, ctx: Any) -> Any:
        _refuse_urls(ctx)
        return super().invoke(ctx)


class LocalPathsTyper(typer.Typer):
    """An app whose commands are of `LocalPathsCommand`."""

    def __init__(self, **options: Any):
        super().__init__(cls=_LocalPathsGroup, **options)

    def command(self, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        """Registers a command, as Typer does."""
        return super().command(*arguments, cls=LocalPathsCommand, **options)


def _refuse_urls(context: Any) -> None:
    for parameter in context.command.params:
        value = context.params.get(parameter.name)
        if isinstance(value, Path) and looks_like_url(value):
            url = str(value).replace(":/", "://", 1)
            fail(
                f"{parameter.opts[0]}: received {url!r}; allowed is a path: crackgate replaces whole folders and "
                "locks files, which no object store can. Give a path; 'crackgate mirror' copies released versions "
                "to and from a bucket",
                EXIT_USAGE,
            )
