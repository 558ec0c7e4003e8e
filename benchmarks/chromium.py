"""Debian's headless Chromium, driven as a person would: real keys, clicks, sizes and themes.

The DevTools protocol over a pipe (--remote-debugging-pipe: JSON ended by NUL on file descriptors 3 and 4), so that
nothing has to be installed for it and no port is opened.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38, "Escape": 27}
# moves two pipes to descriptors 3 and 4, where Chromium wants them, and becomes Chromium
SHIM = """import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 10) for number in sys.argv[1:3]]
for at, pipe in enumerate(pipes, 3):
    os.dup2(pipe, at)
os.execv(sys.argv[3], sys.argv[3:])
"""
SHOWN = 200  # characters of an address; pictures come in theirs
PATIENCE = 180  # seconds; a busy machine is slow, and a page that never comes is a failure all the same


class Chromium:
    """One browser with one page; what went wrong on the page is in `errors`, what it asked for in `requests`."""

    def __init__(self, profile: Path) -> None:
        reads, self._out = os.pipe()
        self._in, writes = os.pipe()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        shim = [sys.executable, "-c", SHIM, str(reads), str(writes), *command]
        with open(profile.with_suffix(".log"), "wb") as log:
            self._process = subprocess.Popen(shim, pass_fds=(reads, writes), stdout=log, stderr=log)
        os.close(reads)
        os.close(writes)
        self._buffer, self._number, self._session = b"", 0, None
        self.errors, self.requests, self._events = [], [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params) -> dict:
        """One command and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._number:
                assert "error" not in reply, reply["error"]
                return reply["result"]

    def _receive(self) -> dict:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser has gone"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, params: dict) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"])
        elif (method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning")) or (
            method == "Runtime.consoleAPICalled"
        ):
            self.errors.append(params)
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:SHOWN])

    def open(self, page: Path, *, fragment: str = "", width: int = 1280, theme: str = "light") -> None:
        """Loads a file until its first sample stands there (or at once where it has no samples)."""
        self.visit(page.as_uri() + fragment, width=width, theme=theme)
        self.until("!document.getElementById('samples') || !!document.querySelector('.stage > *')")

    def visit(self, url: str, *, width: int = 1280, theme: str = "light") -> None:
        """Loads an address."""
        self.errors, self.requests = [], []
        self.send("Page.navigate", url="about:blank")
        self.look(width=width, theme=theme)
        self.send("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def look(self, *, width: int, theme: str) -> None:
        """Another window and theme for what is there; returns when it has been drawn anew."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """The value of an expression, which the page's own policy would not let in."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, condition: str) -> None:
        """Waits until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.02)

    def key(self, name: str) -> None:
        """Presses a key as a keyboard does."""
        code = {"windowsVirtualKeyCode": KEYS[name]} if name in KEYS else {"text": name}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=name, **code)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=name)

    def write(self, text: str) -> None:
        """Types into what has the focus."""
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Clicks the middle of the first element that fits, scrolled into view."""
        node = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{node}.scrollIntoView({{ block: 'center' }})")
        box = self.run(
            f"(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])({node}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def corners(self, selector: str) -> list[float]:
        """Left, top, right and bottom of the first element that fits, scrolled into view."""
        node = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{node}.scrollIntoView({{ block: 'center' }})")
        return self.run(
            f"(({{ left, top, right, bottom }}) => [left, top, right, bottom])({node}.getBoundingClientRect())"
        )

    def drag(self, selector: str, box: tuple[float, float, float, float]) -> None:
        """Draws from corner to corner of a box, in fractions of the element, with the button held."""
        left, top, right, bottom = self.corners(selector)
        x1, x2 = (left + share * (right - left) for share in box[::2])
        y1, y2 = (top + share * (bottom - top) for share in box[1::2])
        for kind, x, y in (
            ("mousePressed", x1, y1),
            ("mouseMoved", (x1 + x2) / 2, (y1 + y2) / 2),
            ("mouseMoved", x2, y2),
            ("mouseReleased", x2, y2),
        ):
            held = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    def drop(self, selector: str, file: Path) -> None:
        """Drops a file of this machine onto the middle of an element."""
        left, top, right, bottom = self.corners(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=(left + right) / 2, y=(top + bottom) / 2, data=data)

    def pick(self, label: str, value: str) -> None:
        """Chooses an option of the select of that name, or sets the text of such a field."""
        node = f"document.querySelector({json.dumps(f'[aria-label={json.dumps(label)}]')})"
        self.run(f"{node}.value = {json.dumps(value)}")
        for event in ("input", "change"):
            self.run(f"{node}.dispatchEvent(new Event('{event}'))")

    def pick_option(self, selector: str, value: str) -> None:
        """Chooses an option of a select."""
        node = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{node}.value = {json.dumps(value)}, {node}.dispatchEvent(new Event('change'))")

    def text(self, selector: str) -> str:
        """What the first element that fits shows."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def is_quiet(self, address: str) -> bool:
        """Nothing was asked for but what begins with `address`, nothing said on the console, no text became markup."""
        asked = [one for one in self.requests if not one.startswith(("data:image/", address[:SHOWN]))]
        made = self.run("document.querySelectorAll('img[src=x], img[onerror]').length")
        assert (self.errors, asked, made) == ([], [], 0)
        return True

    def shot(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot, of the view or of the whole page."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """Ends the browser."""
        os.close(self._out)
        self._process.terminate()
        self._process.wait(timeout=PATIENCE)
        os.close(self._in)
