from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scripts.data.datalist import fusion_datalist
from scripts.data.pictures import read_source
from scripts.metrics.suite import METRIC_NAMES, METRICS
from scripts.utils.checks import InputError

from mmif_amin.benchmark.columns import DEFECTS, SHOWN, TESTED
from mmif_amin.benchmark.methods import OURS
from mmif_amin.benchmark.report import write_html_report
from mmif_amin.benchmark.result import BenchmarkResult, ShownPair
from mmif_amin.benchmark.run import benchmark
from tests.mmif_amin.reports.browser import Browser, needs_chromium


@pytest.fixture
def maximum_folder(tmp_path, harvard_like):
    """The pixel maximum as another method's folder."""
    for item in fusion_datalist(harvard_like, "validation"):
        a, b = (read_source(item[key]).gray[0] for key in ("source_a", "source_b"))
        path = tmp_path / "max" / item["task"] / f"{item['name']}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(np.maximum(a, b) * 255).astype(np.uint8)).save(path)
    return tmp_path / "max"


@pytest.fixture
def result(tmp_path, harvard_like, maximum_folder):
    return benchmark(harvard_like, tmp_path / "out", {"Mine": maximum_folder}, pairs=1)


def test_a_folder_and_the_built_in_rule_agree(result):
    for found in result.tasks.values():
        for metric in METRIC_NAMES:
            assert found.means["Mine"][metric] == pytest.approx(found.means["Max"][metric], rel=2e-3, abs=2e-3), metric


def test_probes_are_caught_and_take_no_rank(result):
    assert set(result.probes) == {"Clipped sum", "Copy of A", "Copy of B", "Gray background"}
    for found in result.tasks.values():
        text = {name: " ".join(warnings) for name, warnings in found.warnings.items()}
        assert "grays the background" in text["Gray background"]
        assert "clips like a sum" in text["Clipped sum"]
        assert "keeps one source only" in text["Copy of A"]
        fusions = [name for name in found.ranks if name not in result.probes]
        assert np.mean([found.ranks[name] for name in fusions]) == pytest.approx((len(fusions) + 1) / 2)


def test_files_say_the_same(tmp_path, result):
    out = tmp_path / "out"
    content = json.loads((out / "benchmark.json").read_text())
    task, found = next(iter(result.tasks.items()))
    entry = content[task]["methods"][OURS]
    assert entry["means"]["VIF"] == pytest.approx(found.means[OURS]["VIF"])
    low, high = entry["interval_95"]["VIF"]
    assert low <= entry["means"]["VIF"] <= high
    with (out / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == task and row["method"] == OURS]
    assert np.mean([float(row["VIF"]) for row in rows]) == pytest.approx(entry["means"]["VIF"], abs=1e-5)
    assert f"{entry['means']['VIF']:.3f}" in (out / "benchmark.md").read_text()
    assert (out / "fused" / OURS / task / f"{found.names[0]}.png").is_file()


def test_the_page_needs_nothing_else(tmp_path, result):
    page = (tmp_path / "out" / "benchmark.html").read_text()
    assert not re.search(r'(src|href)="http', page)
    data = json.loads(re.search(r"const RESULT = (.*);\n", page).group(1).replace("<\\/", "</"))
    assert set(data["tasks"]) == set(result.tasks)
    shown = next(iter(data["tasks"].values()))["pairs"][0]["images"]
    assert {"Source A", "Source B", OURS, "Mine", "LapPyr"} <= set(shown)
    assert shown["Mine"].startswith("data:image/png;base64,")
    assert all(shown["columns"] == list(SHOWN) for shown in data["tasks"].values())
    assert data["defects"] == list(DEFECTS)
    assert data["summaries"] == {metric.name: metric.summary for metric in METRICS}


def test_a_missing_image_is_named_before_anything_is_written(tmp_path, harvard_like, maximum_folder):
    next(maximum_folder.rglob("*.png")).unlink()
    with pytest.raises(InputError, match="expected a fused image"):
        benchmark(harvard_like, tmp_path / "other", {"Mine": maximum_folder})
    assert not (tmp_path / "other").exists()


def test_an_image_of_another_size_is_named_before_anything_is_written(tmp_path, harvard_like, maximum_folder):
    last = sorted(maximum_folder.rglob("*.png"))[-1]
    Image.new("L", (10, 10), 50).save(last)
    with pytest.raises(InputError, match="expected the size of its sources"):
        benchmark(harvard_like, tmp_path / "other", {"Mine": maximum_folder})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["../x", "../../../x", "/x", "a/../../x"])
def test_a_name_that_leads_out_of_the_output_folder_is_refused(tmp_path, harvard_like, name):
    folder = harvard_like / "CT-MRI"
    entry = {"source_a": str(folder / "MRI" / "5001.png"), "source_b": str(folder / "CT" / "5001.png"), "name": name}
    listing = tmp_path / "datalist.json"
    listing.write_text(json.dumps({"validation": [{**entry, "task": "CT-MRI"}]}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=f"'{re.escape(name)}': expected the name of a pair that stays in the output"):
        benchmark(listing, tmp_path / "deep" / "out", classical=False)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("link", ["fused", "fused/Max", "fused/Max/CT-MRI", "benchmark.html"])
def test_no_link_is_followed_out_of_the_output_folder(tmp_path, harvard_like, link):
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InputError, match=f"{link}: is a link that leads out of the output folder"):
        benchmark(harvard_like, tmp_path / "out", classical=False)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_folder_of_a_method_must_be_there(tmp_path, harvard_like):
    with pytest.raises(InputError, match=r"--method Theirs=.*: expected a folder of fused images, found none"):
        benchmark(harvard_like, tmp_path / "other", {"Theirs": tmp_path / "nothing"})


def test_names_of_the_benchmark_cannot_be_taken(tmp_path, harvard_like, maximum_folder):
    with pytest.raises(InputError, match="is the benchmark's own"):
        benchmark(harvard_like, tmp_path / "other", {"Max": maximum_folder})


def test_mlflow_on_request(tmp_path, harvard_like):
    import mlflow

    uri = f"sqlite:///{tmp_path}/m.db"
    benchmark(harvard_like, tmp_path / "out", tasks=["PET-MRI"], classical=False, pairs=1, tracking_uri=uri)
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("mmif_amin").experiment_id])
    assert f"PET-MRI/{OURS}/VIF" in run.data.metrics
    assert (run.info.run_name, run.info.status) == ("benchmark", "FINISHED")
    assert len(list((tmp_path / "mlruns").rglob("benchmark.html"))) == 1
    assert mlflow.get_tracking_uri() != uri, "the store of the whole process is the host's"


CLICKS = """
[...document.querySelectorAll("th")].find(th => th.textContent === "VIF").click();
document.querySelectorAll("#tasks button")[1].click();
[...document.querySelectorAll("#modes button")].find(b => b.textContent === "difference").click();
document.querySelector("#stage").dispatchEvent(new WheelEvent("wheel", { deltaY: -1, cancelable: true }));
"""
DRAWN = """
document.querySelector("#stage").getContext("2d").getImageData(0, 0, 512, 512).data
    .some((v, i) => i % 4 !== 3 && v > 0 && v < 255)
"""


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def show(browser, page):
    browser.send("Page.navigate", url=page.as_uri())
    browser.wait("document.readyState === 'complete' && document.title === 'MMIF-AMIN benchmark'")


@pytest.mark.slow
@needs_chromium
def test_the_page_sorts_switches_and_zooms_when_clicked(tmp_path, result, browser):
    show(browser, tmp_path / "out" / "benchmark.html")
    browser.run(CLICKS)
    browser.wait(DRAWN)
    found = list(result.tasks.values())[1]
    names = browser.run("[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[0].firstChild.data)")
    assert names == sorted(found.means, key=lambda name: -found.means[name]["VIF"])
    assert browser.run("state.zoom") == 1.25
    assert browser.run("document.querySelectorAll('svg').length") == len(TESTED)


HOSTILE_NAMES = [
    "<!--<script>",
    "</script><script>document.title='ran'</script>",
    "<img src=x onerror=\"document.title='ran'\">",
    "/*POLICY*/",
    "'; document.title='ran'; '",
    "${document.title='ran'}",
]


@pytest.mark.slow
@needs_chromium
def test_no_name_of_a_method_or_a_pair_runs_or_blanks_the_page(tmp_path, result, browser):
    """Whole page, real browser: each name is shown as it is, and nothing but the page's own script runs."""
    task, found = next(iter(result.tasks.items()))
    old = list(found.means)
    new = dict(zip(old, [OURS, *HOSTILE_NAMES, *old[1 + len(HOSTILE_NAMES) :]], strict=True))
    for part in (found.means, found.values, found.intervals, found.tests, found.ranks, found.warnings):
        renamed = {new[name]: value for name, value in part.items()}
        part.clear()
        part.update(renamed)
    gray = np.zeros((16, 16))
    shown = [
        ShownPair(task, name, np.stack([gray, gray]), np.stack([gray] * 3), {name: gray}) for name in HOSTILE_NAMES
    ]
    only = BenchmarkResult([], {task: replace(found, detection=None, agreement={})})
    show(browser, write_html_report(tmp_path / "hostile.html", only, shown))
    cells = browser.run("[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[0].firstChild.data)")
    assert set(HOSTILE_NAMES) <= set(cells)
    pairs = browser.run("[...document.querySelectorAll('#pair option')].map(o => o.textContent)")
    assert set(HOSTILE_NAMES) <= set(pairs)
    assert browser.run("[document.scripts.length, document.title]") == [1, "MMIF-AMIN benchmark"]
    tries = """
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=\\"document.title='ran'\\">");
        const own = document.createElement("script");
        own.textContent = "document.title = 'ran'";
        document.body.append(own);
        document.images[document.images.length - 1].addEventListener("error", () => { window.failed = true; });
    """
    browser.run(tries)
    browser.wait("window.failed === true")
    assert browser.run("document.title") == "MMIF-AMIN benchmark", "the policy refuses what stands in the page"
