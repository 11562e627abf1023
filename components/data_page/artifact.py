"""The artifact type of a page."""

from tfx.types.artifact import Artifact


class HtmlPage(Artifact):
    """A folder with one self-contained HTML file."""

    TYPE_NAME = "HtmlPage"
