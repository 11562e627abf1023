"""A real browser that resolves no name, for the HTML pages."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def browse(file: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Opens a file, and puts a picture of it into `folder / "page.png"`.

    Returns:
        What the console said, and the addresses asked for.
    """
    log = folder / "network.json"
    done = _run(
        folder, "--enable-logging=stderr", f"--log-net-log={log}", f"--screenshot={folder / 'page.png'}", file.as_uri()
    )
    parameters = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    # The browser asks for addresses of its own, on behalf of no page.
    asked = [
        said["url"]
        for said in parameters
        if "url" in said and said.get("initiator", "not an origin") != "not an origin"
    ]
    return [line for line in done.stderr.splitlines() if ":CONSOLE:" in line], asked


def evaluate(file: Path, script: str, folder: Path, width: int, dark: bool = False) -> Any:
    """Runs JavaScript in a copy of a page that forbids it, at a width of `width` pixels.

    Args:
        file: The page.
        script: An expression, whose value JSON can hold.
        folder: Where the copy goes.
        width: Of the view; a frame, since a window of its own cannot be narrower than 500 pixels.
        dark: Whether the reader prefers dark pages.
    """
    page, policies = _POLICY.subn("", file.read_text(encoding="utf-8"))
    assert policies == 1
    told = f"<script>addEventListener('load', () => parent.postMessage(JSON.stringify({script}), '*'))</script></body>"
    (folder / "copy.html").write_text(page.replace("</body>", told), encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(
        "<!doctype html><body><script>addEventListener('message', event => document.body.textContent = event.data)"
        f"</script><iframe src='copy.html' width='{width}' height='900' style='border: 0'></iframe></body>"
    )
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    done = _run(folder, scheme, "--virtual-time-budget=10000", "--dump-dom", frame.as_uri())
    return json.loads(html.unescape(re.sub(r"<[^>]*>", "", done.stdout)))


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(chromium_command(folder, *arguments), capture_output=True, text=True, timeout=120, check=True)


def chromium_command(folder: Path, *arguments: str) -> list[str]:
    """The command line of a browser whose profile goes to `folder`; skips the test where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no `chromium` on the PATH: apt-get install chromium")
    return [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        *arguments,
    ]
