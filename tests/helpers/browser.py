"""A real browser that a test drives, by the Chrome DevTools Protocol: chooses files, reads the page, takes pictures.

It resolves no name.
"""

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect


class Page:
    """The one page of a browser.

    Attributes:
        console: What the browser had to say of the page that is open.
        asked: Addresses that it asked for, other than files and data.
    """

    def __init__(self, connection: ClientConnection):
        self._connection, self._number = connection, 0
        self.console: list[str] = []
        self.asked: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def open(self, url: str) -> None:
        """Opens an address, and waits until the page is loaded; `console` and `asked` begin anew."""
        self.console.clear()
        self.asked.clear()
        assert "errorText" not in self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression, which JSON can hold."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Waits until an expression is true."""
        for _ in range(300):
            if self.evaluate(script):
                return
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}; the console says {self.console}")

    def choose_files(self, selector: str, *files: Path) -> None:
        """Chooses files in an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def look(self, width: int, dark: bool = False) -> None:
        """Sets the width of the view, and whether the reader prefers dark pages."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def take_picture(self, file: Path) -> None:
        """Writes a PNG of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            self.asked += [] if url.startswith(("file:", "data:")) else [url]
        if message.get("method") == "Log.entryAdded":
            self.console.append(parameters["entry"]["text"])
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.console.append(json.dumps(parameters))


@contextlib.contextmanager
def open_browser(folder: Path) -> Iterator[Page]:
    """Starts a browser, whose profile goes to `folder`; skips the test where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no `chromium` on the PATH: apt-get install chromium")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        file = folder / "profile" / "DevToolsActivePort"
        for _ in range(300):
            if file.exists() and len(file.read_text().splitlines()) == 2:
                break
            time.sleep(0.1)
        port = file.read_text().splitlines()[0]
        pages = httpx.get(f"http://127.0.0.1:{port}/json/list").json()
        page = next(entry for entry in pages if entry["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait(30)
