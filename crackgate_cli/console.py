"""A console that changes no name and obeys none."""

from typing import Any

from rich.console import Console
from rich.text import Text

from crackgate.pages.shown_text import show_lines


class LiteralConsole(Console):
    """Shows texts as they are: control characters written out, and ":bomb:" no picture."""

    def __init__(self, **options: Any):
        """Takes the options of rich's `Console`."""
        super().__init__(emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Ends the command when nobody reads its output; messages beside it may go unread."""
        if self.stderr:
            raise BrokenPipeError
        super().on_broken_pipe()

    def render_str(self, text: str, **options: Any) -> Text:
        """Makes a text of every string that is printed, cells of tables included."""
        return super().render_str(show_lines(text), **options)
