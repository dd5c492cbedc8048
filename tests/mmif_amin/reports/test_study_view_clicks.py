"""The page of a study in a browser: what clicks, keys, the wheel and drags change."""

from __future__ import annotations

import numpy as np
import pytest

from mmif_amin.reports.study_view import write_study_view
from tests.mmif_amin.reports.browser import (
    Browser,
    changed,
    choose_preset,
    needs_chromium,
    place_in_plane,
    shown_at_the_crosshair,
)
from tests.mmif_amin.reports.made_up_study import VOLUMES, oblique_affine, write_study
from tests.model.data.study_reports import BARE

pytestmark = [pytest.mark.slow, needs_chromium]


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


def test_the_crosshair_is_seen_in_every_plane_of_a_small_window(page):
    for width, height in ((1024, 640), Browser.SIZE):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.send("Emulation.setDeviceMetricsOverride", **size)
        page.wait(f"innerWidth === {width} && panels.a.canvas.width < {width} / 3")
        page.press("all planes")
        picture = page.picture("panels.a.canvas")
        line = picture[..., 2] - picture[..., 0] > 60
        for left, top, across, down in page.run("panels.a.view.screenSlices.map(tile => [...tile.leftTopWidthHeight])"):
            tile = line[int(top) : int(top + down), int(left) : int(left + across)]
            assert tile.any(axis=0).mean() > 0.5, "the horizontal line"
            assert tile.any(axis=1).mean() > 0.5, "the vertical line"


def test_a_place_has_the_values_of_the_voxel_under_its_crosshair(page):
    """The volume is oblique, and the place between voxels."""
    page.run("goTo([2, 3, -8]) ?? null")
    page.run("drawCursor() ?? null")
    told, crosshair = shown_at_the_crosshair(page), "[...panels.fused.view.scene.crosshairPos]"
    before = page.run(crosshair)
    page.key("PageUp")
    page.key("PageDown")
    assert page.run(crosshair) == pytest.approx(before, abs=1e-4)
    assert shown_at_the_crosshair(page) == told


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


def scale(page, key):
    return page.run(f"panels.{key}.figure.querySelector('.scale').innerText").split("\n")


def test_a_preset_sets_window_and_scale(page):
    first = page.picture("panels.b.canvas")
    assert scale(page, "b")[-1] == "B PET, SUVbw"
    choose_preset(page, "source_b", "SUV 0 to 20")
    assert page.run("state.windows.source_b") == [0, 20]
    assert scale(page, "b")[:-1] == ["0", "5", "10", "15", "20"]
    assert changed(first, page.picture("panels.b.canvas")) > 0.02
    page.press("color")
    assert scale(page, "fused")[-1] == "color: B PET, SUVbw"
    assert "7" not in scale(page, "fused")[:-1]
    assert max(map(float, scale(page, "fused")[:-1])) <= 7.5  # the colors were made with the window of the fusion


def test_an_overlay_of_b_over_a_stands_beside_the_fused_image(page):
    page.press("overlay")
    assert page.run("Object.values(panels).map(panel => panel.figure.classList.contains('away'))") == [
        False,
        True,
        False,
    ]
    pictures = []
    for share in (0, 0.5, 1):
        page.slide("over", share)
        pictures.append(page.picture("panels.a.canvas"))
    colors = [float(np.ptp(picture, axis=-1).mean()) for picture in pictures]
    assert colors[0] < colors[1] < colors[2]
    page.drag(place_in_plane(page, "a", 0, 0.4, 0.4))
    crosshairs = page.run("['a', 'fused'].map(key => [...panels[key].view.scene.crosshairPos])")
    assert crosshairs[0] == pytest.approx(crosshairs[1])
    page.press("side by side")
    assert np.ptp(page.picture("panels.a.canvas")[100:200, 100:200], axis=-1).mean() < colors[1]


def test_without_fused_detail_the_structure_alone_is_shown(page):
    fused = page.picture("panels.fused.canvas")
    page.press("only A")
    alone = page.picture("panels.fused.canvas")
    assert changed(fused, alone) > 0.02
    assert "Fused detail off" in page.run("panels.fused.figure.innerText")
    page.press("fused detail")
    assert changed(fused, page.picture("panels.fused.canvas")) == 0


def test_a_loss_map_has_its_legend(page):
    page.press("lost of A")
    assert scale(page, "fused")[0] == "0"
    assert scale(page, "fused")[-2:] == ["1", "lost of A: part of the local information"]


def test_contours_are_rims_that_can_be_switched_off(page):
    page.press("axial")
    page.run("goTo([0, 0, 0]) ?? null")
    box = "document.querySelector('#contours input')"
    shown = page.picture("panels.a.canvas")
    page.click(box)
    hidden = page.picture("panels.a.canvas")
    rim = np.ptp(shown, axis=-1) > 120
    assert 20 < rim.sum() < 0.05 * rim.size
    assert np.ptp(hidden, axis=-1)[rim].max() <= 120 or changed(shown, hidden) > 0
    assert 0 < changed(shown, hidden) < 0.05
    page.click(box)
    assert changed(shown, page.picture("panels.a.canvas")) == 0
    assert "3" in page.run("document.getElementById('contours').innerText")


def test_the_first_picture_is_there_before_the_volumes(browser):
    marks = browser.run("['first picture', 'usable'].map(name => performance.getEntriesByName(name)[0].startTime)")
    assert 0 < marks[0] < marks[1]
    assert browser.run("document.querySelectorAll('.preview').length") == 0


def test_a_study_without_the_optional_parts(browser, tmp_path):
    browser.open(write_study_view(write_study(tmp_path, ("fused", "source_a", "source_b"), BARE)))
    assert browser.run("document.getElementById('message').textContent") == ""
    assert browser.run("[...document.querySelectorAll('aside section')].map(s => s.hidden)") == [0, 0, 1, 1, 1, 1, 1]
    assert "checkerboard" not in browser.run("document.getElementById('modes').innerText")


def test_without_webgl_the_page_says_so(tmp_path):
    browser = Browser(tmp_path / "profile", "--disable-3d-apis")
    try:
        browser.open(write_study_view(write_study(tmp_path)))
        assert "it has no WebGL 2" in browser.run("document.getElementById('message').innerText")
    finally:
        browser.close()
