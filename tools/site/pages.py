"""A hook of MkDocs: pages that no file in docs/ holds, and links that lead out of it."""

import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click
from typer.core import TyperGroup
from typer.main import get_command

from crackgate.config.configuration import Config
from crackgate.config.document import say_value
from crackgate.config.reference import read_sections
from crackgate_cli.main import app

_PROJECT = Path(__file__).parents[2]

# Links of the files in docs/ to the project's own files, of which the site has a page, and any others.
_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK_OUT = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made."""
    made = {
        "index.md": _project_file("README.md"),
        "changelog.md": _project_file("CHANGELOG.md"),
        "contributing.md": _project_file("CONTRIBUTING.md"),
        "reference/commands.md": _commands(),
        "reference/configuration.md": _configuration(),
    }
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links out of docs/ at pages of the site; other files of the project are only named."""
    depth = page.file.src_uri.count("/")

    def replace(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if target not in _PAGES:
            return text
        return f"[{text}]({'../' * depth}{_PAGES[target]}{anchor})"

    return _LINK_OUT.sub(replace, markdown)


def _project_file(name: str) -> str:
    """A file beside docs/ as a page of the site."""
    text = (_PROJECT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for other, page in _PAGES.items():
        text = text.replace(f"]({other}", f"]({page}")
    return text


def _commands() -> str:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    _summarize(command)
    return get_docs_for_click(obj=command, ctx=typer.Context(command), name="crackgate", title="Commands")


def _summarize(command: TyperGroup) -> None:
    """Keeps the first sentences of commands whole, which lists of them cut after 45 letters."""
    for inner in command.commands.values():
        inner.short_help = inner.get_short_help_str(limit=120)
        if isinstance(inner, TyperGroup):
            _summarize(inner)


def _configuration() -> str:
    """A table for each section."""
    parts = [
        "# Configuration",
        "`crackgate config init` writes all of it as a commented file, `crackgate config show` what is in force.",
    ]
    for section in read_sections(Config()):
        rows = [
            f"| `{field.name.rpartition('.')[2]}` | {_cell(field.allowed)} | `{_cell(say_value(field.default))}` | "
            f"{'<br>'.join(map(_cell, (field.description, *field.parts)))} |"
            for field in section.fields
        ]
        table = "\n".join(["| field | allowed | default | meaning |", "|---|---|---|---|", *rows])
        parts += [f"## `[{section.name}]`", section.description, table]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
