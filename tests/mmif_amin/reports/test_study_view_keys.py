"""The page of a study in a browser: keys, links, names of controls and contrast."""

from __future__ import annotations

import pytest

from mmif_amin.reports.study_view import write_study_view
from tests.mmif_amin.reports.browser import Browser, changed, choose_preset, needs_chromium, place_in_plane
from tests.mmif_amin.reports.made_up_study import write_study

pytestmark = [pytest.mark.slow, needs_chromium]


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
