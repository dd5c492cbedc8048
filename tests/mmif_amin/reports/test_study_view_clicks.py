"""The page of a study in a browser: what clicks, keys, the wheel and drags change."""

from __future__ import annotations

import numpy as np
import pytest

from mmif_amin.reports.study_view import write_study_view
from tests.mmif_amin.reports.browser import Browser, needs_chromium
from tests.mmif_amin.reports.made_up_study import VOLUMES, oblique_affine, write_study
from tests.model.data.study_reports import BARE

pytestmark = [pytest.mark.slow, needs_chromium]


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


def test_the_patients_left_is_on_the_right(page):
    places = []
    for right in (0.3, 0.7):
        page.drag(place_in_plane(page, "a", 0, right, 0.5))
        places.append(float(shown_at_the_crosshair(page)["position, mm"].split(",")[0]))
    assert places[0] > places[1]  # RAS+: x grows to the patient's right


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


def test_a_study_without_the_optional_parts(browser, tmp_path):
    browser.open(write_study_view(write_study(tmp_path, ("fused", "source_a", "source_b"), BARE)))
    assert browser.run("document.getElementById('message').textContent") == ""
    assert browser.run("[...document.querySelectorAll('aside section')].map(s => s.hidden)") == [0, 0, 1, 1, 1, 1]
    assert "checkerboard" not in browser.run("document.getElementById('modes').innerText")


def test_without_webgl_the_page_says_so(tmp_path):
    browser = Browser(tmp_path / "profile", "--disable-3d-apis")
    try:
        browser.open(write_study_view(write_study(tmp_path)))
        assert "it has no WebGL 2" in browser.run("document.getElementById('message').innerText")
    finally:
        browser.close()
