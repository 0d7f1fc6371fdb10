"""A headless Chromium, driven through its DevTools protocol, for the tests of pages."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


SOFTWARE_GPU = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")


class Browser:
    """One page in a browser of its own.

    Args:
        flags: How it draws: without any GPU, or as `SOFTWARE_GPU` says, for WebGL.
        size_px: Of the window.
    """

    def __init__(self, *flags, size_px=(1100, 1200)):
        from websockets.sync.client import connect

        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--remote-debugging-port=0"]
        command += ["--no-first-run", "--disable-dev-shm-usage", "--window-size={},{}".format(*size_px)]
        command += flags or ("--disable-gpu",)
        command += [f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._stack = contextlib.ExitStack()
            self._socket = self._stack.enter_context(
                connect(self._find_page(), max_size=None, close_timeout=1)
            )
        except BaseException:
            self._end()
            raise
        self._numbers = itertools.count(1)
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()
        self._end()

    def _end(self):
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _find_page(self):
        port_file = Path(self._folder.name) / "DevToolsActivePort"
        for _ in range(600):
            if port_file.exists() and (text := port_file.read_text()):
                with urllib.request.urlopen(f"http://127.0.0.1:{text.split()[0]}/json") as answer:
                    pages = [one for one in json.load(answer) if one["type"] == "page"]
                if pages:
                    return pages[0]["webSocketDebuggerUrl"]
            time.sleep(0.1)
        raise RuntimeError(f"{CHROMIUM} did not start")

    def call(self, method, **params):
        """One command of the protocol; returns its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.recv(timeout=120))
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]
            if "method" in told:
                self.events.append(told)

    def run(self, script):
        """The value of a JavaScript expression on the page."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def open(self, url):
        """Go to a page, or load it again."""
        self.call("Page.navigate", url=url)

    def wait_for(self, script, seconds=120):
        """Wait until an expression is true on the page; returns its value."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, (
                f"{script} is still {value!r}: {self.run('document.body.innerText')}"
            )
            time.sleep(0.1)
        return value

    def press(self, *keys):
        """Press keys, one after the other, as a keyboard would."""
        for key in keys:
            self.hold(key)
            self.release(key)

    def hold(self, key):
        """Press a key down."""
        self._send_key("keyDown", key)

    def release(self, key):
        """Let a key go."""
        self._send_key("keyUp", key)

    def _send_key(self, kind, key):
        text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "")
        name = " " if key == "Space" else key
        code = {"Enter": 13, "Space": 32, "Tab": 9}.get(key, 0)
        event = {"key": name, "text": text, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type=kind, **event)

    def drag(self, start, end, steps=4):
        """Drag the mouse from one place of the window to another, in CSS pixels."""
        moves = [
            [a + (b - a) * step / steps for a, b in zip(start, end, strict=True)] for step in range(steps + 1)
        ]
        button = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=moves[0][0], y=moves[0][1], **button)
        for x, y in moves[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=moves[-1][0], y=moves[-1][1], **button)

    def screenshot(self, path):
        """Keep what is seen as a PNG file."""
        shown = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shown["data"]))
