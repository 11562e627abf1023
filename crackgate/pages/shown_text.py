"""Showing any name as text."""


def show(text: str) -> str:
    """The text with everything written out that a browser would hide or obey: newlines, direction marks, controls."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_lines(text: str) -> str:
    """As `show`, but for a text of several lines."""
    return "\n".join(map(show, text.split("\n")))
