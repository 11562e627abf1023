"""Rendering a page from its template, in the look that all of them have."""

from pathlib import Path

import jinja2


def html_environment(folder: Path) -> jinja2.Environment:
    """Returns what renders the templates in `folder`: everything is escaped, nothing may be undefined.

    Templates extend `layout.html.jinja`, import `elements.html.jinja`, and have two filters: `shown` (see `show`), and
    `anchor`, the identifier of a section by its name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = show
    environment.filters["anchor"] = lambda name: name.lower().replace(" ", "-")
    return environment


def show(text: str) -> str:
    """The text with everything written out that a browser would hide or obey: newlines, direction marks, controls."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
