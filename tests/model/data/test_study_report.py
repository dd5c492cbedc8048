"""The report of a study: written as it was, read and checked, old and new."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripts.data.study_report import SCHEMA_VERSION, AlignmentReport, RegistrationReport, StudyReport
from scripts.transforms.registration.alignment import Alignment
from scripts.transforms.registration.result import Registration
from scripts.utils.checks import InputError

from tests.model.data.study_reports import BARE, FULL, OF_VERSION_0_4_0, REGISTRATION_OF_VERSION_0_4_0


def written(path, data):
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize("report", [pytest.param(FULL, id="full"), pytest.param(BARE, id="bare")])
def test_what_was_written_is_read(tmp_path, report):
    path = report.write(tmp_path / "report.json")
    assert StudyReport.read(path) == report
    assert json.loads(path.read_text())["schema_version"] == SCHEMA_VERSION


def test_readers_of_version_0_4_0_find_their_keys(tmp_path):
    """A report of 0.4.0 that is read and written again has the same keys at all levels, and some more."""
    data = {**OF_VERSION_0_4_0, "registration": REGISTRATION_OF_VERSION_0_4_0}
    again = json.loads(StudyReport.read(written(tmp_path / "a.json", data)).write(tmp_path / "b.json").read_text())
    new = {"schema_version": SCHEMA_VERSION, "settings": {}, "patient_differs_in": [], "alignment": None}
    new |= {"refinement": None}
    assert {key: again.pop(key) for key in new} == new
    of_registration = {"method": "whole", "beyond_limits": [], "deformed": None}
    assert {key: again["registration"].pop(key) for key in of_registration} == of_registration
    assert again == {**data, "peak_memory_gb": None}  # it was that of the whole process
    assert list(again) == list(data)


def test_a_report_of_this_schema_keeps_its_memory(tmp_path):
    data = {**OF_VERSION_0_4_0, "schema_version": SCHEMA_VERSION, "settings": {}}
    assert StudyReport.read(written(tmp_path / "report.json", data)).peak_memory_gb == 0.66


def test_keys_of_others_are_passed_over(tmp_path):
    data = {**FULL.to_dict(), "reviewed_by": "nobody"}
    assert StudyReport.read(written(tmp_path / "report.json", data)) == FULL


def test_a_registration_is_reported_whole():
    """All that a registration says of itself is declared in the report, and nothing else."""
    told = {key: value for key, value in REGISTRATION_OF_VERSION_0_4_0.items() if key != "metric"}
    figures = Registration(**told, itk_text="").to_dict()
    assert figures == {**REGISTRATION_OF_VERSION_0_4_0, "method": "whole", "beyond_limits": [], "deformed": None}
    report = RegistrationReport.from_dict(figures)
    assert json.loads(json.dumps(asdict(report))) == figures
    assert report.translation_mm == tuple(figures["translation_mm"])


def changed(*keys, **values):
    """The old report with the value at the end of ``keys`` changed, or without it."""
    data = copy.deepcopy({**OF_VERSION_0_4_0, "registration": REGISTRATION_OF_VERSION_0_4_0})
    node = data
    for key in keys[:-1]:
        node = node[key]
    if values:
        node[keys[-1]] = values["to"]
    else:
        del node[keys[-1]]
    return data


DAMAGED = [
    pytest.param("{", "expected JSON, got: Expecting property name", id="not JSON"),
    pytest.param("\udcff".encode(errors="surrogateescape"), "expected JSON, got: .*can't decode", id="not UTF-8"),
    pytest.param("[]", "expected a JSON object, got list", id="no object"),
    pytest.param(changed("network"), "expected the key 'network', it is missing", id="version before 0.4.0"),
    pytest.param(changed("sources", "a", "unit"), r"expected the key 'sources\.a\.unit', it is missing", id="deep"),
    pytest.param(changed("seconds", to="3"), "key 'seconds': expected a number, got str", id="text for a number"),
    pytest.param(changed("seconds", to=True), "key 'seconds': expected a number, got bool", id="truth for a number"),
    pytest.param(changed("task", to=None), "key 'task': expected a text, got NoneType", id="nothing for a text"),
    pytest.param(changed("loss", to=[1, 2]), "key 'loss': expected an object, got a list of 2", id="list for object"),
    pytest.param(changed("metrics", to=3), "key 'metrics': expected an object, got int", id="number for object"),
    pytest.param(changed("metrics", "VIF", to=[]), r"key 'metrics\.VIF': expected a number, got a list", id="metric"),
    pytest.param(changed("colormap", to="jet"), "'colormap': expected one of ember, gold, .*, got 'jet'", id="color"),
    pytest.param(changed("colormap", to=[]), r"'colormap': expected one of .*, got \[\]", id="list for a word"),
    pytest.param(
        changed("grid", "shape", 1, to=2.5),
        r"key 'grid\.shape\.1': expected a whole number, got float",
        id="half voxel",
    ),
    pytest.param(
        changed("sources", "b", "window", to=[1]),
        r"'sources\.b\.window': expected a list of 2, got a list of 1",
        id="short",
    ),
    pytest.param(
        changed("sources", "b", "notes", to="none"),
        r"'sources\.b\.notes': expected a list, got str",
        id="text for list",
    ),
    pytest.param(
        changed("registration", "matrix", 2, to=[0, 0, 1]),
        r"'registration\.matrix\.2': expected a list of 4, got a list of 3",
        id="matrix",
    ),
    pytest.param(changed("schema_version", to="2"), "'schema_version': expected a whole number, got str", id="version"),
    pytest.param(
        changed("schema_version", to=SCHEMA_VERSION + 1),
        f"'schema_version': expected at most {SCHEMA_VERSION}, got {SCHEMA_VERSION + 1}. Read it with the version",
        id="newer schema",
    ),
]


@pytest.mark.parametrize(("data", "message"), DAMAGED)
def test_a_damaged_report_is_refused_with_its_key(tmp_path, data, message):
    path = tmp_path / "report.json"
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        written(path, data)
    with pytest.raises(InputError, match=rf"report\.json: .*{message}"):
        StudyReport.read(path)


def test_no_report(tmp_path):
    with pytest.raises(
        InputError, match=r"report\.json: expected the report .*, found nothing there, run mmif-amin fuse"
    ):
        StudyReport.read(tmp_path / "report.json")
    with pytest.raises(InputError, match="found a folder there"):
        StudyReport.read(tmp_path)


def test_a_report_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        FULL.write(tmp_path / "file" / "report.json")


def test_an_alignment_is_reported_whole():
    told = Alignment("same grid", 1.1, 1.2, 21.5, "they agree better elsewhere").to_dict()
    assert json.loads(json.dumps(asdict(AlignmentReport.from_dict(told)))) == told


def test_the_turn_is_that_of_the_matrix():
    """Of 15, 10 and 12 degrees about the three axes, none is the angle of the turn."""
    rotation = Rotation.from_euler("xyz", [15, 10, 12], degrees=True)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix() * 1.02
    report = replace(FULL.registration, matrix=tuple(map(tuple, matrix.tolist())))
    assert report.turn_deg == pytest.approx(np.degrees(rotation.magnitude()))
    assert report.turn_deg > 20
