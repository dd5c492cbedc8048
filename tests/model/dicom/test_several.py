from __future__ import annotations

import numpy as np
import pydicom
import pytest

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read, refusal


def write_several(folder, kinds, **keywords):
    """The same head several times in one series, each 100 brighter than the one before; kinds are their keywords."""
    uid = "1.2.3.4"
    for n, own in enumerate(kinds):
        stored = made.head() + np.uint16(100 * n)
        own = own if callable(own) else (lambda k, own=own: own)
        write_series(
            folder,
            stored=stored,
            per_slice=own,
            prefix=f"V{n}_",
            SeriesInstanceUID=uid,
            **({"modality": "MR"} | keywords),
        )


B_VALUES = [
    {"DiffusionBValue": b, "DiffusionGradientOrientation": d}
    for b, d in ((0, [0, 0, 1]), (1000, [1, 0, 0]), (1000, [0, 1, 0]))
]
ECHOES = [{"EchoTime": 9.2}, {"EchoTime": 30.5}]
DIXON = [{"ImageType": ["DERIVED", "PRIMARY", word]} for word in ("WATER", "FAT")]
TIMES = [{"FrameReferenceTime": t} for t in (500, 2000, 10000)]
PHASES = [lambda k, n=n: {"TriggerTime": 100 * n + k} for n in range(3)]  # each slice a little later
SLICE_TIMES = [lambda k, n=n: {"AcquisitionTime": f"1100{n}{k}"} for n in range(3)]
CHOICES = [
    pytest.param(B_VALUES, "1", [0], "volume 1 of 3: b=0", id="number"),
    pytest.param(B_VALUES, "b=0", [0], "volume 1 of 3: b=0", id="b-value"),
    pytest.param(B_VALUES, "b=1000,mean", [1, 2], "mean of 2 of 3 volumes", id="mean-of-a-b-value"),
    pytest.param(B_VALUES, "mean", [0, 1, 2], "mean of 3 of 3 volumes", id="mean"),
    pytest.param(ECHOES, "echo=2", [1], "volume 2 of 2: echo=2, te=30.5", id="echo"),
    pytest.param(ECHOES, "te=9.2", [0], "volume 1 of 2: echo=1, te=9.2", id="echo-time"),
    pytest.param(DIXON, "type=water", [1], "volume 2 of 2: type=DERIVED/PRIMARY/WATER", id="type"),
    pytest.param(TIMES, "time=3", [2], "volume 3 of 3: time=3", id="time"),
    pytest.param(PHASES, "phase=2", [1], "volume 2 of 3: phase=2", id="phase-with-jitter"),
    pytest.param(SLICE_TIMES, "time=1", [0], "volume 1 of 3: time=1", id="each-slice-its-own-time"),
    pytest.param([{"InstanceNumber": 1}, {"InstanceNumber": 2}], "2", [1], "volume 2 of 2", id="only-numbers"),
]


@pytest.mark.parametrize(("kinds", "choice", "meant", "note"), CHOICES)
def test_choice(tmp_path, kinds, choice, meant, note):
    write_several(tmp_path, kinds)
    volume = read(tmp_path, volume=choice)
    brighter = 100 * np.mean([1 - n if kinds is DIXON else n for n in meant])  # FAT sorts before WATER
    np.testing.assert_allclose(volume.values, made.head() + np.float32(brighter), rtol=1e-6)
    assert note in volume.notes
    assert len(volume.headers) == made.SHAPE[2]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        pytest.param(
            None,
            r"expected one volume, it holds 3. Choose with --volume-a or --volume-b: a number from 1 to 3, b=...",
            id="none",
        ),
        pytest.param(None, "\n  1: b=0\n  2: b=1000\n  3: b=1000", id="listed"),
        pytest.param("4", "expected a volume from 1 to 3, got 4", id="number"),
        pytest.param("0", "expected a volume from 1 to 3, got 0", id="zero"),
        pytest.param("b=500", "expected a volume with b=500, found none", id="no-such-b"),
        pytest.param("echo=1", "expected a volume with echo=1, found none", id="no-such-word"),
        pytest.param(
            "b=1000", "expected one volume with b=1000, 2 fit: 2, 3. Choose one by its number, or b=1000,mean", id="two"
        ),
        pytest.param("first", "expected a volume's number, mean or such as b=1000, got 'first'", id="unknown"),
        pytest.param("b=", "got 'b='", id="half"),
    ],
)
def test_refused_choice(tmp_path, choice, message):
    write_several(tmp_path, B_VALUES)
    assert message in refusal(tmp_path, volume=choice)


def test_a_single_volume_may_be_named(tmp_path):
    phantom = write_series(tmp_path)
    for choice in ("1", "mean"):
        np.testing.assert_array_equal(read(tmp_path, volume=choice).values, phantom.stored)
    assert "expected a volume from 1 to 1, got 2" in refusal(tmp_path, volume="2")


@pytest.mark.parametrize(
    ("group", "creator", "element", "vr", "values"),
    [
        pytest.param(0x19, "SIEMENS MR HEADER", 0x0C, "IS", (0, 1000), id="siemens"),
        pytest.param(0x2001, "Philips Imaging DD 001", 0x03, "FL", (0.0, 1000.0), id="philips"),
        pytest.param(0x43, "GEMS_PARM_01", 0x39, "IS", ([0, 8, 0, 0], [1000001000, 8, 0, 0]), id="ge"),
        pytest.param(0x65, "Image Private Header", 0x09, "FD", (0.0, 1000.0), id="uih"),
    ],
)
def test_private_b_values(tmp_path, group, creator, element, vr, values):
    for n, value in enumerate(values):
        phantom = write_series(
            tmp_path, prefix=f"V{n}_", stored=made.head() + np.uint16(n), SeriesInstanceUID="1.2.3.4"
        )
        for file in phantom.files:
            dataset = pydicom.dcmread(file)
            dataset.private_block(group, creator, create=True).add_new(element, vr, value)
            dataset.save_as(file)
    np.testing.assert_array_equal(read(tmp_path, volume="b=1000").values, made.head() + 1)


def test_an_incomplete_time_point_does_not_spoil_the_others(tmp_path):
    write_series(tmp_path, prefix="A", SeriesInstanceUID="1.2.3.4", TemporalPositionIdentifier=1)
    write_series(tmp_path, prefix="B", SeriesInstanceUID="1.2.3.4", TemporalPositionIdentifier=2, skip=[7, 8, 9])
    np.testing.assert_array_equal(read(tmp_path, volume="time=1").values, made.head())
    assert read(tmp_path, volume="2").values.shape == (24, 20, 7)
    assert "expected volumes of one size for their mean" in refusal(tmp_path, volume="mean")


def test_the_suv_of_a_time_point_is_that_of_the_series(tmp_path):
    per_slice = [lambda k, n=n: {"AcquisitionTime": f"1{n + 1}0000", "RescaleSlope": 1} for n in range(2)]
    write_several(
        tmp_path,
        per_slice,
        modality="PT",
        **(made.SUV_TAGS | {"RadiopharmaceuticalInformationSequence": made.suv_dose()}),
    )
    factor = 70e3 / (350e6 * 2 ** (-3600 / 6586.2))  # decay corrected to the start of the series
    volume = read(tmp_path, volume="2")
    assert volume.unit == "SUVbw"
    np.testing.assert_allclose(volume.values, (made.head() + np.float32(100)) * factor, rtol=1e-5)


def test_enhanced_mr_of_two_time_points(tmp_path):
    phantom = made.write_enhanced_mr(tmp_path / "a", order=[*range(10), *range(10)])
    dataset = pydicom.dcmread(phantom.files[0])
    for k, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence = made.item_of(TemporalPositionIndex=k // 10 + 1)
    dataset.save_as(phantom.files[0])
    volume = read(tmp_path, volume="time=2")
    np.testing.assert_array_equal(volume.values, 2.0 * phantom.stored - 5)
    assert "it holds 2" in refusal(tmp_path)


def direction(n):
    """The diffusion of image n at a position, as enhanced MR nests it."""
    toward = {"DiffusionGradientDirectionSequence": made.item_of(DiffusionGradientOrientation=[n == 1, n == 2, 0])}
    return {"MRDiffusionSequence": made.item_of(DiffusionBValue=1000 if n else 0, **(toward if n else {}))}


@pytest.mark.parametrize(
    ("groups", "choice", "note"),
    [
        pytest.param(direction, "b=0", "volume 1 of 3: b=0", id="directions"),
        pytest.param(
            lambda n: {"TemporalPositionSequence": made.item_of(TemporalPositionTimeOffset=12.5 * n)},
            "time=1",
            "volume 1 of 3: time=1",
            id="time-offsets",
        ),
        pytest.param(
            lambda n: {"FrameContentSequence": made.item_of(FrameAcquisitionDateTime=f"202401021000{n}0.5")},
            "time=1",
            "volume 1 of 3: time=1",
            id="date-times",
        ),
        pytest.param(
            lambda n: {"FrameContentSequence": made.item_of(DimensionIndexValues=[1, n + 9])},
            "1",
            "volume 1 of 3",
            id="dimension-index",
        ),
        pytest.param(lambda n: {}, "1", "volume 1 of 3", id="only-the-order-of-the-frames"),
    ],
)
def test_volumes_of_enhanced_mr(tmp_path, groups, choice, note):
    """Frames of three volumes in one file; the first volume has the plain values, the others 100 less each."""
    count = made.SHAPE[2]
    phantom = made.write_enhanced_mr(tmp_path / "a", order=[*range(count)] * 3)
    dataset = pydicom.dcmread(phantom.files[0])
    for k, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        n = k // count
        frame.PixelValueTransformationSequence = made.item_of(RescaleSlope=2, RescaleIntercept=-5 - 100 * n)
        for keyword, items in groups(n).items():
            setattr(frame, keyword, items)
    dataset.save_as(phantom.files[0])
    volume = read(tmp_path, volume=choice)
    np.testing.assert_array_equal(volume.values, 2.0 * phantom.stored - 5)
    assert note in volume.notes
    assert "it holds 3" in refusal(tmp_path)
