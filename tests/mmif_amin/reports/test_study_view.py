from __future__ import annotations

import base64
import fcntl
import gzip
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import time

import nibabel
import numpy as np
import pytest
from PIL import Image
from scripts.utils.checks import InputError

from mmif_amin.reports.study_view import write_study_view

SHAPE = (28, 32, 20)
REPORT = {
    "version": "0.3.0",
    "task": "PET-MRI",
    "grid": {"kind": "reference", "shape": list(SHAPE), "spacing": [1.2, 0.9, 3.0]},
    "sources": {
        "a": {
            "modality": "MRI",
            "unit": "arbitrary",
            "window": [0, 900],
            "notes": ["</script><!--VOLUMES--> spacing was uneven"],
        },
        "b": {"modality": "PET", "unit": "SUVbw", "window": [0, 7.5], "notes": []},
    },
    "colormap": "hot",
    "registration": {
        "kind": "rigid",
        "rotation_deg": [1.25, -0.5, 3.0],
        "translation_mm": [12.0, -3.5, 5.5],
        "metric": "normalized mutual information",
        "before": 1.05,
        "after": 1.21,
        "seconds": 12.3,
    },
    "metrics": {"EN": 5.125, "VIF": 0.625},
    "loss": {"a": 0.125, "b": 0.25},
    "seconds": {"fuse": 3.0},
}


def oblique_affine() -> np.ndarray:
    """Anisotropic, turned about two axes, first voxel axis from left to right reversed."""
    x, z = np.deg2rad(9), np.deg2rad(-14)
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ np.diag([-1.2, 0.9, 3.0])
    affine[:3, 3] = [14, -11, -35]
    return affine


def made_up_volumes() -> dict[str, np.ndarray]:
    """A textured ball in two modalities, what could be fused of it, and what that would have lost."""
    rng = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n) for n in SHAPE)
    ball = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2) < 0.85
    a = np.where(ball, 500 + 300 * np.sin(4 * x)[:, None, None] + rng.normal(0, 40, SHAPE), 0).clip(0, 1000)
    b = np.where(ball, 4 + 3 * np.cos(3 * y)[:, None] + rng.normal(0, 0.3, SHAPE), 0).clip(0)
    fused = np.maximum(a / 1000, b / 10)
    color = np.stack([fused, fused**2, fused**3], axis=-1)
    volumes = {
        "source_a": a,
        "source_b": b,
        "source_b_unregistered": np.roll(b, 6, axis=0),
        "fused": fused,
        "loss_a": np.abs(fused - a / 1000),
        "loss_b": np.abs(fused - b / 10),
    }
    volumes = {name: values.astype(np.float32) for name, values in volumes.items()}
    rgb24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    volumes["fused_color"] = np.rint(color * 255).astype(np.uint8).view(rgb24)[..., 0]
    return volumes


VOLUMES = made_up_volumes()


def write_study(folder, names=tuple(VOLUMES), report=REPORT):
    for name in names:
        image = nibabel.Nifti1Image(VOLUMES[name], oblique_affine())
        image.header["descrip"] = b"Roe^Marianne"
        nibabel.save(image, folder / f"{name}.nii.gz")
    (folder / "report.json").write_text(json.dumps({**report, "patient": "Roe^Marianne", "inputs": [str(folder)]}))
    return folder


def embedded(page: str) -> dict[str, nibabel.Nifti1Image]:
    """The volumes of a page."""
    found = re.findall(r'<script type="application/gzip" id="(\w+)">([^<]*)</script>', page)
    return {name: nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(data))) for name, data in found}


def test_the_page_is_written_beside_the_study_or_where_it_is_asked_for(tmp_path):
    write_study(tmp_path)
    assert write_study_view(tmp_path) == tmp_path / "view.html"
    assert write_study_view(tmp_path, tmp_path / "other" / "page.html").is_file()


def test_the_page_needs_nothing_else_and_names_nobody(tmp_path):
    page = write_study_view(write_study(tmp_path)).read_text()
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", page.split("<script>")[0])
    assert "default-src 'none'" in page  # the browser itself refuses whatever would be fetched
    assert "Research use only, not for diagnosis" in page
    assert "BSD 2-Clause License" in page
    assert "Marianne" not in page
    assert str(tmp_path) not in page
    assert all(bytes(image.header["descrip"]).strip(b"\0") == b"" for image in embedded(page).values())


def test_embedded_volumes_keep_values_and_geometry(tmp_path):
    images = embedded(write_study_view(write_study(tmp_path)).read_text())
    assert set(images) == set(VOLUMES)
    for name, image in images.items():
        assert image.affine == pytest.approx(oblique_affine(), abs=1e-5)
        if name == "fused_color":
            assert (np.asarray(image.dataobj) == VOLUMES[name]).all()
        else:
            step = 1 / 255 if image.get_data_dtype() == np.uint8 else float(np.ptp(VOLUMES[name])) / 4095
            assert image.get_fdata() == pytest.approx(VOLUMES[name], abs=0.501 * step)


@pytest.mark.parametrize(("values", "dtype"), [([0, 51, 255], np.uint8), ([0, 1, 3000], np.int16)])
def test_sources_take_one_byte_where_that_holds_them(tmp_path, monkeypatch, values, dtype):
    monkeypatch.setitem(VOLUMES, "source_a", np.resize(np.float32(values), SHAPE))
    image = embedded(write_study_view(write_study(tmp_path)).read_text())["source_a"]
    assert image.get_data_dtype() == dtype
    assert image.get_fdata() == pytest.approx(VOLUMES["source_a"], abs=max(values) / 4096)


def test_a_constant_source_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setitem(VOLUMES, "source_a", np.full(SHAPE, 7, np.float32))
    image = embedded(write_study_view(write_study(tmp_path)).read_text())["source_a"]
    assert (image.get_fdata() == 7).all()


@pytest.mark.parametrize("name", ["fused.nii.gz", "source_b.nii.gz", "report.json"])
def test_a_missing_file_is_named(tmp_path, name):
    write_study(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: expected .*found nothing there, run mmif-amin fuse .*first"):
        write_study_view(tmp_path)


def test_damaged_files_are_named(tmp_path):
    write_study(tmp_path)
    (tmp_path / "source_a.nii.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="source_a.nii.gz: expected a readable NIfTI file"):
        write_study_view(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(InputError, match="report.json: expected JSON"):
        write_study_view(tmp_path)
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object, got list"):
        write_study_view(tmp_path)


def test_a_volume_on_another_grid_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(VOLUMES, "loss_a", VOLUMES["loss_a"][1:])
    with pytest.raises(InputError, match="loss_a.nii.gz: expected the grid of fused.nii.gz"):
        write_study_view(write_study(tmp_path))


class Browser:
    """Chromium, told what to do over a pipe in its DevTools protocol: mouse, keys, screenshots, what went wrong."""

    SIZE = (1280, 800)
    FLAGS = ("--headless", "--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader")

    def __init__(self, profile, *flags):
        (read_command, self.commands), (self.answers, write_answer) = os.pipe(), os.pipe()

        def to_three_and_four():
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
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def picture(self, script="document.getElementById('stage')"):
        left, top, width, height = self.box(script)
        clip = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        picture = base64.b64decode(self.send("Page.captureScreenshot", clip=clip)["data"])
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)

    def open(self, page):
        self.send("Page.navigate", url=page.as_uri())
        self.wait("window.viewReady === true || Boolean(document.getElementById('message')?.textContent)")


needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.open(write_study_view(write_study(tmp_path_factory.mktemp("study"))))
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    """The page side by side in gray with all planes and its first windows; nothing may go wrong or be fetched."""
    for text in ("side by side", "all planes", "gray", "off", "reset"):
        browser.press(text)
    yield browser
    wrong = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
    assert [event for event in browser.events if event["method"] in wrong] == []
    requests = [event["params"]["request"]["url"] for event in browser.events if "request" in event.get("params", {})]
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


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


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(("key", "plane"), [("a", 0), ("b", 1), ("fused", 2)])
def test_a_click_moves_all_crosshairs_and_shows_the_values_there(page, key, plane):
    for right, down in ((0.4, 0.35), (0.6, 0.55)):
        page.drag(place_in_plane(page, key, plane, right, down))
        shown = shown_at_the_crosshair(page)
        voxel = tuple(int(index) for index in shown["voxel"].split(","))
        millimetres = [float(value) for value in shown["position, mm"].split(",")]
        assert millimetres == pytest.approx((oblique_affine() @ [*voxel, 1])[:3], abs=0.06)
        for text, name in {"A MRI": "source_a", "B PET": "source_b", "Fused": "fused", "lost of B": "loss_b"}.items():
            step = float(np.ptp(VOLUMES[name])) / 4096 if name.startswith("source") else 1 / 255
            assert float(shown[text].split()[0]) == pytest.approx(VOLUMES[name][voxel], rel=1e-3, abs=step), text
        crosshairs = page.run("Object.values(panels).map(panel => [...panel.view.scene.crosshairPos])")
        assert np.allclose(crosshairs, crosshairs[0])


@pytest.mark.slow
@needs_chromium
def test_the_patients_left_is_on_the_right(page):
    places = []
    for right in (0.3, 0.7):
        page.drag(place_in_plane(page, "a", 0, right, 0.5))
        places.append(float(shown_at_the_crosshair(page)["position, mm"].split(",")[0]))
    assert places[0] > places[1]  # RAS+: x grows to the patient's right


@pytest.mark.slow
@needs_chromium
def test_keys_and_wheel_step_slices(page):
    page.drag(place_in_plane(page, "a", 0, 0.5, 0.5))
    voxels = [shown_at_the_crosshair(page)["voxel"]]
    for key in ("ArrowLeft", "ArrowUp", "PageUp"):
        page.key(key)
        voxels.append(shown_at_the_crosshair(page)["voxel"])
    x, y = place_in_plane(page, "b", 0, 0.5, 0.5)
    page.mouse("Wheel", x, y, buttons=0, deltaX=0, deltaY=100)
    voxels.append(shown_at_the_crosshair(page)["voxel"])
    steps = np.diff([[int(index) for index in voxel.split(",")] for voxel in voxels], axis=0)
    assert np.abs(steps).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    page.press("curtain")  # hides the fused panel
    before = page.run("[...panels.b.view.scene.crosshairPos]")
    page.key("ArrowLeft")
    assert page.run("[...panels.b.view.scene.crosshairPos]") != before


@pytest.mark.slow
@needs_chromium
def test_curtain_and_blend_go_from_one_image_to_the_other(page):
    page.press("axial")
    page.press("blend")
    blend = []
    for share in (0, 0.5, 1):
        page.slide("blend", share)
        blend.append(page.picture())
    page.press("curtain")
    page.slide("sweep", 1)
    left = page.picture()
    page.slide("sweep", 0)
    right = page.picture()
    page.slide("sweep", 0.5)
    half, middle = page.picture(), left.shape[1] // 2
    page.slide("sweep", 1)
    assert changed(blend[0], blend[1]) > 0.05
    assert changed(blend[1], blend[2]) > 0.05
    assert changed(left, right) > 0.05
    assert changed(half[:, : middle - 4], left[:, : middle - 4]) == 0
    assert changed(half[:, middle + 4 :], right[:, middle + 4 :]) == 0


@pytest.mark.slow
@needs_chromium
def test_window_by_number_and_by_drag(page):
    first = page.picture("panels.a.canvas")
    page.click("document.querySelectorAll('[data-window=source_a] input')[1]", clicks=3)
    page.send("Input.insertText", text="400")
    page.key("Tab")
    narrow = page.picture("panels.a.canvas")
    assert changed(first, narrow) > 0.02
    assert narrow.sum() > first.sum()
    x, y = place_in_plane(page, "a", 0, 0.5, 0.5)
    page.drag((x, y), (x, y + 10), (x, y + 30), buttons=2)
    assert page.run("state.windows.source_a") != [0, 400]
    assert changed(narrow, page.picture("panels.a.canvas")) > 0.02
    page.press("reset")
    assert page.run("state.windows.source_a") == [0, 900]
    assert changed(first, page.picture("panels.a.canvas")) == 0


@pytest.mark.slow
@needs_chromium
def test_checkerboard_shows_b_before_and_after_registration(page):
    page.press("checkerboard")
    after = page.picture()
    page.press("before")
    before = page.picture()
    assert changed(before, after) > 0.02
    voxel = tuple(int(index) for index in shown_at_the_crosshair(page)["voxel"].split(","))
    shown = float(shown_at_the_crosshair(page)["B PET"].split()[0])
    assert shown == pytest.approx(VOLUMES["source_b_unregistered"][voxel], rel=1e-3, abs=0.003)
    page.slide("tile", 0.8)
    assert changed(before, page.picture()) > 0.02
    page.press("after")
    assert "1.05 → 1.21" in page.run("document.getElementById('moved').innerText")


@pytest.mark.slow
@needs_chromium
def test_loss_map_and_color_are_laid_over_the_fused_image(page):
    gray = page.picture("panels.fused.canvas")
    page.press("lost of B")
    lost = page.picture("panels.fused.canvas")
    assert changed(gray, lost) > 0.02
    page.slide("opacity", 0.05)
    assert changed(lost, page.picture("panels.fused.canvas")) > 0.02
    page.press("off")
    assert changed(gray, page.picture("panels.fused.canvas")) == 0
    page.press("color")
    assert changed(gray, page.picture("panels.fused.canvas")) > 0.02


@pytest.mark.slow
@needs_chromium
def test_a_study_without_the_optional_parts(browser, tmp_path):
    browser.open(write_study_view(write_study(tmp_path, ("fused", "source_a", "source_b"), {})))
    assert browser.run("document.getElementById('message').textContent") == ""
    assert browser.run("[...document.querySelectorAll('aside section')].map(s => s.hidden)") == [0, 0, 1, 1, 1, 1]
    assert "checkerboard" not in browser.run("document.getElementById('modes').innerText")


@pytest.mark.slow
@needs_chromium
def test_without_webgl_the_page_says_so(tmp_path):
    browser = Browser(tmp_path / "profile", "--disable-3d-apis")
    try:
        browser.open(write_study_view(write_study(tmp_path)))
        assert "it has no WebGL 2" in browser.run("document.getElementById('message').innerText")
    finally:
        browser.close()
