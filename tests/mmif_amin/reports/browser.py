"""A browser for tests, without any package for it."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")


class Browser:
    """Chromium, told what to do over a pipe in its DevTools protocol: mouse, keys, screenshots, what went wrong."""

    SIZE = (1280, 800)
    FLAGS = (
        *("--headless", "--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"),
        *("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
        "--disable-sync",
    )

    def __init__(self, profile, *flags):
        (read_command, self.commands), (self.answers, write_answer) = os.pipe(), os.pipe()

        def to_three_and_four():
            import fcntl  # Windows has none; its Chromium is not called "chromium", so nothing comes here

            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read_command, write_answer)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        command = [
            "chromium",
            *self.FLAGS,
            *flags,
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self.process = subprocess.Popen(
            command, preexec_fn=to_three_and_four, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(read_command)
        os.close(write_answer)
        self.numbers, self.buffer, self.events, self.session = itertools.count(), b"", [], {}
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = {"sessionId": self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Log", "Network", "Page", "Runtime"):
            self.send(f"{domain}.enable")
        width, height = self.SIZE
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def send(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params, **self.session}
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.buffer:
                self.buffer += os.read(self.answers, 1 << 20)
            text, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)

    def run(self, script):
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script):
        end = time.monotonic() + 60
        while not self.run(script):
            assert time.monotonic() < end, (script, self.events[-3:])
            time.sleep(0.05)

    def mouse(self, kind, x, y, buttons=1, **more):
        button = {0: "none", 1: "left", 2: "right"}[buttons]
        self.send("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, button=button, buttons=buttons, **more)

    def drag(self, start, *stops, buttons=1, clicks=1):
        self.mouse("Moved", *start, buttons=0)
        self.mouse("Pressed", *start, buttons=buttons, clickCount=clicks)
        for stop in stops:
            self.mouse("Moved", *stop, buttons=buttons)
        self.mouse("Released", *(stops or [start])[-1], buttons=buttons, clickCount=clicks)

    def box(self, script):
        """Left, top, width and height of an element, scrolled into sight."""
        self.run(f"({script}).scrollIntoView({{ block: 'nearest' }})")
        return self.run(f"(r => [r.x, r.y, r.width, r.height])(({script}).getBoundingClientRect())")

    def click(self, script, clicks=1):
        left, top, width, height = self.box(script)
        self.drag((left + width / 2, top + height / 2), clicks=clicks)

    def press(self, text):
        self.click(f"[...document.querySelectorAll('button')].find(b => b.textContent === '{text}')")

    def slide(self, name, share):
        left, top, width, height = self.box(f"document.getElementById('{name}')")
        now = self.run(f"(s => (s.value - s.min) / (s.max - s.min))(document.getElementById('{name}'))")
        at = [left + 8 + part * (width - 16) for part in (now, share)]
        self.drag((at[0], top + height / 2), (at[1], top + height / 2))

    def key(self, name):
        text = {"text": name} if len(name) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name, **text)

    def picture(self, script="document.getElementById('stage')"):
        left, top, width, height = self.box(script)
        clip = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        picture = base64.b64decode(self.send("Page.captureScreenshot", clip=clip)["data"])
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)

    def open(self, page, hash=""):
        self.send("Page.navigate", url="about:blank")  # the same address with another hash would not load again
        self.send("Page.navigate", url=page.as_uri() + hash)
        self.wait("window.viewReady === true || Boolean(document.getElementById('message')?.textContent)")


def place_in_plane(page, key, plane, right, down):
    """Page coordinates of a place in one plane (0 axial, 1 coronal, 2 sagittal) of one panel."""
    left, top, _, _ = page.box(f"panels.{key}.canvas")
    tile = page.run(f"panels.{key}.view.screenSlices.find(slice => slice.axCorSag === {plane}).leftTopWidthHeight")
    return left + tile[0] + right * tile[2], top + tile[1] + down * tile[3]


def shown_at_the_crosshair(page):
    rows = "[...document.getElementById('cursor').rows]"
    return dict(page.run(f"{rows}.map(row => [...row.cells].map(cell => cell.innerText))"))


def changed(before, after):
    return float((np.abs(before - after).max(axis=-1) > 24).mean())


def choose_preset(page, name, text):
    page.run(f"""(select => {{
        select.value = [...select.options].find(option => option.text === '{text}').value;
        select.dispatchEvent(new Event('change'));
    }})(document.querySelector('[data-window={name}] select'))""")
