"""The page to try the service: one file, which runs its own script and asks this service alone."""

from importlib.resources import files

from crackgate.pages.policy import digest


def _read(name: str, package: str = "serving.service") -> str:
    return (files(package) / name).read_text(encoding="utf-8")


_STYLE = "".join(_read(name, "crackgate.pages") for name in ("colours.css", "layers.css")) + _read("page.css")
_SCRIPT = _read("layers.js", "crackgate.pages") + _read("page.js")
PAGE = _read("page.html").replace("{{style}}", _STYLE).replace("{{script}}", _SCRIPT)
PAGE_POLICY = (
    f"default-src 'none'; style-src {digest(_STYLE)}; script-src {digest(_SCRIPT)}; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
