"""The artifact type of a page."""

from tfx.types.artifact import Artifact

PAGE_FILE = "data.html"


class HtmlPage(Artifact):
    """A folder with one self-contained HTML file, `PAGE_FILE`."""

    TYPE_NAME = "HtmlPage"
