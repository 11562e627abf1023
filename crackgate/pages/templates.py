"""Rendering pages and cards from their templates."""

import re
from pathlib import Path
from typing import Any

import jinja2

from crackgate.pages.policy import page_policy
from crackgate.pages.shown_text import show
from crackgate.plural import counted

_SPECIAL_IN_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")


def render_html(template: Path, *, script: str = "", images: str = "data:", **content: Any) -> str:
    """Renders a page: everything is escaped, nothing may be undefined.

    The page runs `script`, its only one, and shows images from the sources `images` of a content security policy.
    Templates extend `layout.html.jinja`, import `elements.html.jinja`, and have two filters: `shown` (see `show`), and
    `anchor`, the identifier of a section by its name; `counted` puts a number before its noun.
    """
    environment = _environment(template.parent, autoescape=True)
    environment.filters["shown"] = show
    environment.filters["anchor"] = lambda name: name.lower().replace(" ", "-")
    policy = page_policy(script, images)
    return environment.get_template(template.name).render(content, script=script, policy=policy)


def render_markdown(template: Path, **content: Any) -> str:
    """Renders Markdown: every value is escaped, the template's own text stays as it is."""
    environment = _environment(
        template.parent,
        keep_trailing_newline=True,
        finalize=lambda value: escape_markdown(value) if isinstance(value, str) else value,
    )
    return environment.get_template(template.name).render(content)


def escape_markdown(text: str) -> str:
    """Markdown that shows the text, on one line."""
    return _SPECIAL_IN_MARKDOWN.sub(r"\\\1", show(text))


def _environment(folder: Path, **options: Any) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.globals["counted"] = counted
    return environment
