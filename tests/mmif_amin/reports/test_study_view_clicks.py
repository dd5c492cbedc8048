"""The page of a study in a browser: what clicks, keys, the wheel and drags change."""

from __future__ import annotations

import numpy as np
import pytest

from mmif_amin.reports.study_view import write_study_view
from tests.mmif_amin.reports.browser import Browser, needs_chromium
from tests.mmif_amin.reports.made_up_study import VOLUMES, oblique_affine, write_labels, write_study
from tests.model.data.study_reports import BARE

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    study = write_study(tmp_path_factory.mktemp("study"))
    write_labels(study)
    browser.open(write_study_view(study))
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    """The page side by side in gray with all planes and its first windows; nothing may go wrong or be fetched."""
    for text in ("side by side", "all planes", "gray", "fused detail", "off", "reset"):
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


def choose_preset(page, name, text):
    page.run(f"""(select => {{
        select.value = [...select.options].find(option => option.text === '{text}').value;
        select.dispatchEvent(new Event('change'));
    }})(document.querySelector('[data-window={name}] select'))""")


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


KEYS = [
    pytest.param("2", "state.mode", "overlay", id="overlay"),
    pytest.param("c", "state.plane", "coronal", id="plane"),
    pytest.param("g", "state.color", True, id="color"),
    pytest.param("d", "state.detail", False, id="detail"),
    pytest.param("l", "state.loss", "loss_a", id="loss map"),
    pytest.param("?", "document.getElementById('help').open", True, id="help"),
]


@pytest.mark.parametrize(("key", "asked", "expected"), KEYS)
def test_keys(page, key, asked, expected):
    page.run("document.activeElement.blur() ?? null")
    page.key(key)
    assert page.run(asked) == expected
    page.run("document.getElementById('help').close() ?? null")


def test_letters_can_be_switched_off(page):
    page.run("document.getElementById('letters').checked = false")
    page.key("c")
    assert page.run("state.plane") == "all planes"
    page.run("document.getElementById('letters').checked = true")


def test_a_link_shows_the_same_view_again(page, browser, tmp_path):
    page.press("axial")
    page.press("overlay")
    page.drag(place_in_plane(page, "a", 0, 0.4, 0.35))
    choose_preset(page, "source_b", "SUV 0 to 5")
    page.click("document.getElementById('copy')")
    page.wait("document.getElementById('linked').open")
    link = page.run("document.getElementById('link').value")
    seen = page.run("[state.mode, state.plane, state.windows.source_b, state.mm]")
    page.run("document.getElementById('linked').close() ?? null")
    other = Browser(tmp_path / "profile")
    try:
        study = write_study(tmp_path)
        other.open(write_study_view(study), link[link.index("#") :])
        again = other.run("[state.mode, state.plane, state.windows.source_b, state.mm]")
        crosshair = "[...panels.a.view.scene.crosshairPos]"
        assert other.run(crosshair) == pytest.approx(page.run(crosshair), abs=1e-3)
        assert again[:3] == seen[:3] == ["overlay", "axial", [0, 5]]
        assert again[3] == pytest.approx(seen[3], abs=0.1)
        other.open(
            study / "view.html", "#mode=%3Cscript%3E&plane=constructor&at=1,NaN,2&source_a=5,1&loss=fused&over=999"
        )
        state = other.run("[state.mode, state.plane, state.windows.source_a, state.loss]")
        assert state == ["side by side", "all planes", [0, 900], None]
    finally:
        other.close()


def test_a_link_holds_sliders_and_sides_too(page):
    """Followed in the same page after they were changed."""
    page.press("overlay")
    page.press("color")
    page.press("lost of A")
    page.wait("images.overlay && panels.a.view.volumes.length === 2")
    page.drag(place_in_plane(page, "a", 0, 0.4, 0.35))
    page.slide("over", 0.2)
    page.slide("opacity", 0.3)
    overlay, first = page.run("linkHash()"), page.picture()
    page.press("curtain")
    page.run("$('left').value = 'fused'; $('left').dispatchEvent(new Event('change'))")
    page.slide("sweep", 0.3)
    curtain, second = page.run("linkHash()"), page.picture()
    page.press("blend")
    page.slide("over", 0.9)
    page.slide("opacity", 0.9)
    page.run("$('left').value = 'a'; $('left').dispatchEvent(new Event('change'))")
    page.slide("sweep", 0.8)
    for hash, seen in ((curtain, second), (overlay, first)):
        page.run(f"location.hash = '{hash}'")
        page.wait(f"linkHash() === '{hash}'")
        assert changed(seen, page.picture()) < 1e-3, hash  # the crosshair's place is rounded
    page.run("$('over').value = 50; $('opacity').value = 70; $('sweep').value = 50; state.left = 'a'; setOpacities()")


def test_every_control_has_a_name(page):
    page.send("Accessibility.enable")
    for text in ("side by side", "overlay", "curtain", "blend", "checkerboard"):
        page.press(text)
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "checkbox", "combobox", "slider", "spinbutton", "textbox", "image"}
        controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
        assert len(controls) > 20
        assert [node for node in controls if not node.get("name", {}).get("value")] == []


CONTRASTS = """(() => {
  const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    while (element && /, 0\\)$/.test(getComputedStyle(element).backgroundColor)) element = element.parentElement;
    return getComputedStyle(element).backgroundColor;
  };
  return [...document.querySelectorAll('body *')].filter(element => element.checkVisibility() && element.innerText
    && !element.children.length && !element.disabled).map(element => {
    const both = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    return [(both[0] + 0.05) / (both[1] + 0.05), element.innerText];
  });
})()"""


def test_all_text_stands_out_from_its_ground(page):
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 40
    assert [found for found in contrasts if found[0] < 4.5] == []  # WCAG 2.2, 1.4.3


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
