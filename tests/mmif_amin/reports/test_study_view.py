"""The page of a study as a file: what is embedded, what is not, and which folders are refused."""

from __future__ import annotations

import base64
import gzip
import json
import re

import nibabel
import numpy as np
import pytest
from scripts.utils.checks import InputError

from mmif_amin.reports.study_view import write_study_view
from tests.mmif_amin.reports.made_up_study import LABELS, SHAPE, VOLUMES, oblique_affine, write_labels, write_study
from tests.model.data.study_reports import BARE, FULL, OF_VERSION_0_4_0


def embedded(page: str) -> dict[str, nibabel.Nifti1Image]:
    """The volumes of a page."""
    found = re.findall(r'<script type="application/gzip" id="([\w-]+)">([^<]*)</script>', page)
    return {name: nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(data))) for name, data in found}


def test_the_page_is_written_beside_the_study_or_where_it_is_asked_for(tmp_path):
    write_study(tmp_path)
    assert write_study_view(tmp_path) == tmp_path / "view.html"
    assert write_study_view(tmp_path, tmp_path / "other" / "page.html").is_file()


def test_the_page_needs_nothing_else_and_names_nobody(tmp_path):
    page = write_study_view(write_study(tmp_path)).read_text()
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", page.split("<script>")[0])
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ")  # the browser itself refuses whatever would be fetched
    assert "unsafe" not in policy
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


def told(page: str) -> dict:
    """What the page knows of the study, read as a browser does: up to the end of the script, as JSON."""
    script = page[page.index("const STUDY = ") :].partition("</script")[0]
    return json.loads(script.splitlines()[0].removeprefix("const STUDY = ").removesuffix(";"))


def test_no_text_of_a_report_ends_its_script(tmp_path):
    """The note of the made-up report holds the end of a script, a place of the template, an umlaut and U+2028."""
    page = write_study_view(write_study(tmp_path)).read_text()
    study = told(page)
    assert study["sources"]["a"]["notes"] == list(FULL.sources.a.notes)
    assert set(study) == {
        *("version", "task", "grid", "sources", "registration", "metrics", "loss"),
        *("shape", "toVoxel", "volumes", "carried", "presets", "colormaps"),
    }
    assert page.count("</script") == 2 + len(VOLUMES)  # NiiVue, the page itself, the volumes


def test_a_study_of_version_0_4_0_is_shown(tmp_path):
    write_study(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(OF_VERSION_0_4_0))
    assert told(write_study_view(tmp_path).read_text())["metrics"] == OF_VERSION_0_4_0["metrics"]


def test_a_study_of_a_newer_version_is_refused(tmp_path):
    write_study(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps({**BARE.to_dict(), "schema_version": 99}))
    with pytest.raises(InputError, match="report.json: key 'schema_version': expected at most"):
        write_study_view(tmp_path)


def test_label_volumes_are_embedded_with_their_names_and_labels(tmp_path):
    write_labels(write_study(tmp_path))
    write_labels(tmp_path, "labels_mine", (LABELS == 7).astype(np.int16))
    page = write_study_view(tmp_path).read_text()
    carried = told(page)["carried"]
    assert [one["name"] for one in carried] == ["tumor", "labels_mine"]
    assert [[(label["text"], label["index"]) for label in one["labels"]] for one in carried] == [
        [("3", 1), ("7", 2)],
        [("", 3)],
    ]
    images = embedded(page)
    assert (images["carried-0"].get_fdata() == np.select([LABELS == 3, LABELS == 7], [1, 2])).all()
    assert (images["carried-1"].get_fdata() == 3 * (LABELS == 7)).all()


def test_carried_structures_have_the_names_that_they_were_drawn_with(tmp_path):
    """The name of a file holds no letters but ASCII."""
    write_labels(write_study(tmp_path), "carried/01_Tum_r")
    rows = [{"volume": "01_Tum_r.nii.gz", "name": "Tumör </script>", "source": "B"}, {"volume": None}]
    (tmp_path / "carried" / "carried.json").write_text(json.dumps({"structures": rows}), encoding="utf-8")
    (carried,) = told(write_study_view(tmp_path).read_text(encoding="utf-8"))["carried"]
    assert carried["name"] == "B: Tumör </script>"
    (tmp_path / "carried" / "carried.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="carried.json: expected the structures"):
        write_study_view(tmp_path)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        pytest.param(LABELS / np.float32(2), "expected whole numbers as labels", id="halves"),
        pytest.param(LABELS[1:], "expected the grid of fused.nii.gz", id="another grid"),
    ],
)
def test_label_volumes_that_do_not_fit_are_named(tmp_path, labels, match):
    write_labels(write_study(tmp_path), labels=labels)
    with pytest.raises(InputError, match=f"carried/01_tumor.nii.gz: {match}"):
        write_study_view(tmp_path)


def test_pictures_of_the_middle_slices_stand_before_the_scripts(tmp_path):
    page = write_study_view(write_study(tmp_path)).read_text()
    assert len(re.findall('<img class="preview" alt="" src="data:image/png;base64,', page.split("<script>")[0])) == 3
