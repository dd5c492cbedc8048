"""Contours and segments carried to the fusion grid: where they lie, how large they are, and what is refused."""

from __future__ import annotations

import json

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from mmif_amin.scripts.data.volume import Volume
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.carry.structures import DrawnFile
from mmif_amin.carry.writer import CarryWriter, drawn_on, read_drawn
from tests.mmif_amin.carry.drawn_files import LPS, ball, write_contours, write_segments
from tests.mmif_amin.dicom_objects.made_up import MATRIX, OTHER_FRAME, assert_valid, study_of
from tests.model.dicom import dicom_phantoms as made

RADIUS = 7.0
MIDDLE = (11, 9, 5)
BALL_ML = 4 / 3 * np.pi * RADIUS**3 / 1000


def carry(folder, study, *files, dicom=False):
    """Carry files; returns the folder."""
    out = folder / "out"
    out.mkdir()
    CarryWriter(files, dicom)(out, study)
    return out


def told(out) -> list[dict]:
    return json.loads((out / "carried" / "carried.json").read_text())["structures"]


def expected_ball(study, center_in_a: np.ndarray) -> np.ndarray:
    """Voxels of the fusion grid within the radius of a point, RAS, mm."""
    index = np.stack(np.meshgrid(*map(np.arange, made.SHAPE), indexing="ij"), -1)
    points = index @ study["source_a"].affine.numpy()[:3, :3].T + study["source_a"].affine.numpy()[:3, 3]
    return np.linalg.norm(points - center_in_a, axis=-1) <= RADIUS


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def mask_of_ball(volume: Volume) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, volume.values.shape), indexing="ij"), -1)
    points = (index - MIDDLE) @ volume.affine[:3, :3].T
    return np.linalg.norm(points, axis=-1) <= RADIUS


@pytest.mark.parametrize("kind", ["contours", "segments"])
@pytest.mark.parametrize("letter", ["a", "b"])
def test_a_ball_lies_where_it_was_drawn(tmp_path, kind, letter):
    """On B it is moved by the registration, as B's voxels are."""
    study = study_of(tmp_path, "CT")
    volume = study[f"source_{letter}_file"]
    if kind == "contours":
        file = write_contours(tmp_path / "drawn.dcm", volume, {"GTV 1": ball(volume, MIDDLE, RADIUS)})
    else:
        file = write_segments(tmp_path / "drawn.dcm", volume, {"GTV 1": mask_of_ball(volume)})
    out = carry(tmp_path, study, file)
    assert sorted(path.name for path in (out / "carried").iterdir()) == ["01_GTV_1.nii.gz", "carried.json"]
    center = (volume.affine @ [*MIDDLE, 1])[:3]
    if letter == "b":
        center = (np.linalg.inv(MATRIX) @ [*center, 1])[:3]
    image = nibabel.load(out / "carried" / "01_GTV_1.nii.gz")
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, study["source_a"].affine.numpy(), atol=1e-5)
    inside = np.asanyarray(image.dataobj) > 0
    assert dice(inside, expected_ball(study, center)) > 0.9
    (row,) = told(out)
    assert (row["file"], row["source"], row["name"]) == (1, letter.upper(), "GTV 1")
    drawn = BALL_ML
    if kind == "segments":
        drawn = mask_of_ball(volume).sum() * np.prod(made.SPACING) / 1000
    assert row["ml_drawn"] == pytest.approx(drawn, rel=0.06)
    assert row["ml"] == pytest.approx(drawn, rel=0.12)


def test_contours_on_their_own_grid_keep_every_voxel(tmp_path):
    """A drawn box holds exactly the voxels whose centers lie in it."""
    study = study_of(tmp_path, "CT")
    a = study["source_a_file"]
    affine = LPS @ a.affine
    corners = [(4.5, 3.5), (15.5, 3.5), (15.5, 12.5), (4.5, 12.5)]
    contours = [np.array([(affine @ [*corner, k, 1])[:3] for corner in corners]) for k in range(2, 8)]
    out = carry(tmp_path, study, write_contours(tmp_path / "drawn.dcm", a, {"box": contours}))
    inside = np.asanyarray(nibabel.load(out / "carried" / "01_box.nii.gz").dataobj) > 0
    expected = np.zeros(made.SHAPE, bool)
    expected[5:16, 4:13, 2:8] = True
    assert np.array_equal(inside, expected)


def test_what_lies_outside_the_grid_is_cut_and_said(tmp_path):
    study = study_of(tmp_path, "CT")
    a = study["source_a_file"]
    middle = (-0.5, *MIDDLE[1:])  # where the grid begins
    writer = CarryWriter([write_contours(tmp_path / "drawn.dcm", a, {"cut": ball(a, middle, RADIUS)})])
    (tmp_path / "out").mkdir()
    writer(tmp_path / "out", study)
    (row,) = told(tmp_path / "out")
    assert row["ml"] == pytest.approx(BALL_ML / 2, rel=0.15)
    assert row["ml"] + row["ml_outside"] == pytest.approx(row["ml_drawn"], rel=0.06)
    assert writer.notes == [f"file 1: cut: {row['ml_outside']:g} of {row['ml_drawn']:g} ml lie outside the grid"]


def test_slivers_of_two_points_are_passed_over(tmp_path):
    """Planning systems write them where a drawing was nearly rubbed out."""
    a = study_of(tmp_path, "CT")["source_a_file"]
    circles = ball(a, MIDDLE, RADIUS)
    drawn = read_drawn(write_contours(tmp_path / "drawn.dcm", a, {"GTV": [*circles, circles[0][:2], circles[1][:1]]}))
    assert drawn.notes == ("GTV: 2 contours of 1 or 2 points left out",)
    without = read_drawn(write_contours(tmp_path / "without.dcm", a, {"GTV": circles}))
    assert np.array_equal(drawn.structures[0].share, without.structures[0].share)


def test_an_inner_contour_is_a_hole(tmp_path):
    study = study_of(tmp_path, "CT")
    a = study["source_a_file"]
    contours = [*ball(a, MIDDLE, RADIUS), *ball(a, MIDDLE, 3.1)]
    out = carry(tmp_path, study, write_contours(tmp_path / "drawn.dcm", a, {"shell": contours}))
    inside = np.asanyarray(nibabel.load(out / "carried" / "01_shell.nii.gz").dataobj) > 0
    assert not inside[MIDDLE]
    assert inside[MIDDLE[0] + 5, MIDDLE[1], MIDDLE[2]]


def test_two_files_and_a_seg_of_each(tmp_path):
    study = study_of(tmp_path, "CT")
    a, b = study["source_a_file"], study["source_b_file"]
    one = write_contours(tmp_path / "1.dcm", b, {"GTV": ball(b, MIDDLE, RADIUS), "OAR": ball(b, MIDDLE, 4)})
    other = write_segments(tmp_path / "2.dcm", a, {"ventricle": mask_of_ball(a), "empty": np.zeros(made.SHAPE, bool)})
    out = carry(tmp_path, study, one, other, dicom=True)
    assert [(row["file"], row["source"], row["volume"]) for row in told(out)] == [
        (1, "B", "01_GTV.nii.gz"),
        (1, "B", "02_OAR.nii.gz"),
        (2, "A", "03_ventricle.nii.gz"),
    ]
    files = sorted((out / "dicom_objects").iterdir())
    assert [file.name for file in files] == ["carried_01.dcm", "carried_02.dcm"]
    for file in files:
        assert_valid(file)
    first = highdicom.seg.segread(files[0])
    assert first.FrameOfReferenceUID == a.headers[0].FrameOfReferenceUID
    assert first.StudyInstanceUID == a.headers[0].StudyInstanceUID
    assert [first.get_segment_description(k).segment_label for k in (1, 2)] == ["GTV", "OAR"]
    second = highdicom.seg.segread(files[1])
    assert second.get_segment_description(1).segmented_property_type.meaning == "Brain"
    assert (first.SeriesNumber, second.SeriesNumber) == (7007, 7008)
    assert [one.SeriesDescription.split(" - ")[0][-6:] for one in (first, second)] == ["file 1", "file 2"]
    again = read_drawn(files[0])  # what was written can be carried again
    mask = np.asanyarray(nibabel.load(out / "carried" / "01_GTV.nii.gz").dataobj)
    assert again.structures[0].share.sum() == mask.sum()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("GTV Doe", id="a word of the name"),
        pytest.param(made.PATIENT_ID, id="the id"),
        pytest.param("JaneDoe_heart", id="name written together"),
    ],
)
def test_a_name_that_names_the_patient_is_held_back(tmp_path, name):
    study = study_of(tmp_path, "CT")
    a = study["source_a_file"]
    out = carry(tmp_path, study, write_contours(tmp_path / "d.dcm", a, {name: ball(a, MIDDLE, RADIUS)}), dicom=True)
    assert sorted(path.name for path in (out / "carried").iterdir()) == ["01.nii.gz", "carried.json"]
    assert told(out)[0]["name"] == "(names the patient)"
    seg = pydicom.dcmread(out / "dicom_objects" / "carried_01.dcm")
    assert seg.SegmentSequence[0].SegmentLabel == "(names the patient)"


def far_away(volume):
    return [circle + 900 for circle in ball(volume, MIDDLE, RADIUS)]


def skewed(volume):
    circles = ball(volume, MIDDLE, RADIUS)
    circles[1][:5, 2] += 4
    return circles


def uneven(volume):
    affine = LPS @ volume.affine
    corners = [(4, 4), (15, 4), (15, 12)]
    return [np.array([(affine @ [*corner, k, 1])[:3] for corner in corners]) for k in (0, 1, 2.5, 3.5, 4.6)]


@pytest.mark.parametrize(
    ("change", "points", "message"),
    [
        pytest.param({"frame": "1.2.3"}, None, "expected the frame of reference of source A or B", id="frame"),
        pytest.param({"frame": "", "series": "1.2.3"}, None, "no series of the two sources", id="series"),
        pytest.param({"kind": "POINT"}, None, "expected closed contours, found none", id="only-points"),
        pytest.param({"ROIContourSequence": []}, None, "expected closed contours, found none", id="empty"),
        pytest.param({}, far_away, "nothing of its structures lies on the fusion grid", id="elsewhere"),
        pytest.param({}, skewed, "expected flat and parallel contours", id="not-flat"),
        pytest.param({}, uneven, "expected contours in evenly spaced planes", id="uneven"),
        pytest.param({}, lambda _: [np.zeros((2, 3))], "expected closed contours, found none", id="two-points"),
        pytest.param(
            {}, lambda _: [np.zeros(10)], "expected contours of three finite numbers a point", id="ten-numbers"
        ),
    ],
)
def test_contours_that_cannot_be_carried(tmp_path, change, points, message):
    study = study_of(tmp_path, "CT")
    a = study["source_a_file"]
    contours = points(a) if points else ball(a, MIDDLE, RADIUS)
    file = write_contours(tmp_path / "drawn.dcm", a, {"GTV": contours}, **change)
    with pytest.raises(InputError, match=message):
        carry(tmp_path, study, file)


def test_a_seg_without_a_voxel(tmp_path):
    a = study_of(tmp_path, "CT")["source_a_file"]
    file = write_segments(tmp_path / "drawn.dcm", a, {"GTV": np.zeros(made.SHAPE, bool)})
    with pytest.raises(InputError, match="expected segments, found none with a voxel"):
        read_drawn(file)


def test_not_a_file_of_structures(tmp_path):
    phantom = made.write_series(tmp_path / "a")
    (tmp_path / "text.txt").write_text("text")
    for path, found in (
        (tmp_path / "none.dcm", "found nothing there"),
        (tmp_path, "found a folder there"),
        (tmp_path / "text.txt", "got another kind of file"),
        (phantom.files[0], "got MR Image Storage"),
    ):
        with pytest.raises(InputError, match=f"expected an RTSTRUCT or a DICOM SEG to carry, {found}"):
            read_drawn(path)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_truncated_file(tmp_path, share):
    a = study_of(tmp_path, "CT")["source_a_file"]
    file = write_segments(tmp_path / "drawn.dcm", a, {"GTV": mask_of_ball(a)})
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(InputError, match=r"drawn\.dcm: expected"):
        read_drawn(file)


SAME = (OTHER_FRAME, OTHER_FRAME)


@pytest.mark.parametrize(
    ("frame", "series", "frames", "moved", "expected"),
    [
        pytest.param("F1", (), ("F1", "F2"), True, 0, id="frame of A"),
        pytest.param("F2", (), ("F1", "F2"), True, 1, id="frame of B"),
        pytest.param(OTHER_FRAME, ("S2",), SAME, True, 1, id="one frame, series of B"),
        pytest.param(OTHER_FRAME, (), SAME, False, 0, id="one frame, nothing was moved"),
        pytest.param(OTHER_FRAME, (), SAME, True, "names no series of the two", id="one frame, B was moved"),
        pytest.param("", ("S2",), ("", ""), True, 1, id="no frames, series of B"),
        pytest.param("", ("S9",), ("", ""), True, "no series of the two sources", id="no frames, another series"),
        pytest.param("F9", ("S1",), ("F1", "F2"), True, "in another one", id="series of A in another frame"),
        pytest.param("F1", (), ("", ""), False, "which neither source names", id="NIfTI"),
        pytest.param("F1", (), ("", "F2"), False, "in another one", id="A is NIfTI, another frame than B"),
    ],
)
def test_which_source_it_was_drawn_on(tmp_path, frame, series, frames, moved, expected):
    drawn = DrawnFile(tmp_path / "drawn.dcm", {}, frame, frozenset(series), ())
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            drawn_on(drawn, frames, ("S1", "S2"), moved)
    else:
        assert drawn_on(drawn, frames, ("S1", "S2"), moved) == expected
