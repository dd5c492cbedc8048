from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from scripts.data.datalist import fusion_datalist
from scripts.data.pictures import read_source
from scripts.metrics.suite import METRIC_NAMES, METRICS
from scripts.utils.checks import InputError

from mmif_amin.benchmark.columns import DEFECTS, SHOWN, TESTED
from mmif_amin.benchmark.methods import OURS
from mmif_amin.benchmark.run import benchmark


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
    assert data["columns"] == list(SHOWN)
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
<script>
window.addEventListener("load", () => setTimeout(() => {
  [...document.querySelectorAll("th")].find(th => th.textContent === "VIF").click();
  document.querySelectorAll("#tasks button")[1].click();
  [...document.querySelectorAll("#modes button")].find(b => b.textContent === "difference").click();
  document.querySelector("#stage").dispatchEvent(new WheelEvent("wheel", { deltaY: -1, cancelable: true }));
  document.body.dataset.zoom = state.zoom;
  const shown = document.querySelector("#stage").getContext("2d").getImageData(0, 0, 512, 512).data;
  document.body.dataset.drawn = shown.some((v, i) => i % 4 !== 3 && v > 0 && v < 255);
}, 500));
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_the_page_sorts_switches_and_zooms_when_clicked(tmp_path, result):
    page = tmp_path / "clicked.html"
    page.write_text((tmp_path / "out" / "benchmark.html").read_text().replace("</body>", CLICKS + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"]
    command = ["chromium", *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = list(result.tasks.values())[1]
    order = re.findall(r'<tr class="[a-z]*"><td>([^<]+)', dom)
    assert order == sorted(found.means, key=lambda name: -found.means[name]["VIF"])
    assert 'data-zoom="1.25"' in dom
    assert 'data-drawn="true"' in dom
    assert dom.count("<svg") == len(TESTED)
