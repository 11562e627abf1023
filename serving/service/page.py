"""The page to try the service: one file, which runs its own script and asks this service alone."""

import base64
import hashlib
from importlib.resources import files


def _read(name: str, package: str = "serving.service") -> str:
    return (files(package) / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE, _SCRIPT = _read("colours.css", "crackgate.pages") + _read("page.css"), _read("page.js")
PAGE = _read("page.html").replace("{{style}}", _STYLE).replace("{{script}}", _SCRIPT)
PAGE_POLICY = (
    f"default-src 'none'; style-src {_digest(_STYLE)}; script-src {_digest(_SCRIPT)}; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
