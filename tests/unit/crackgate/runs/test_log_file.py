"""The log of a run, as people read it in a terminal."""

import logging

from crackgate.runs.log_file import LOG_FORMAT


def test_control_characters_of_a_name_stay_text_and_lines_stay_lines() -> None:
    record = logging.LogRecord("crackgate", logging.WARNING, "", 0, "class %s\nis small", ("\x1b[2Jx",), None)
    assert LOG_FORMAT.format(record).endswith("WARNING crackgate: class \\x1b[2Jx\nis small")
