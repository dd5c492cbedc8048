"""Makers of made-up DICOM files, valid part 10; pydicom only."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

PATIENT_NAME = "DOE^JANE"
PATIENT_ID = "PID-4711"
SHAPE = (24, 20, 10)
SPACING = (1.0, 1.5, 3.0)
ORIGIN = (-11.0, -14.5, 20.0)
AXIAL = ((1, 0, 0), (0, 1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))
OBLIQUE = ((0.8, 0.6, 0.0), (-0.36, 0.48, -0.8))
SUV_TAGS: dict[str, Any] = {
    "Units": "BQML",
    "CorrectedImage": ["ATTN", "DECY", "SCAT"],
    "DecayCorrection": "START",
    "PatientWeight": 70,
    "SeriesDate": "20240102",
    "SeriesTime": "110000",
    "AcquisitionDate": "20240102",
    "AcquisitionTime": "110000",
}
SUV_DOSE = {
    "RadionuclideTotalDose": 350e6,
    "RadionuclideHalfLife": 6586.2,
    "RadiopharmaceuticalStartTime": "100000",
}
SOP_CLASSES = {
    "MR": MRImageStorage,
    "CT": CTImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "NM": NuclearMedicineImageStorage,
}


@dataclass
class Phantom:
    """What was written: files in slice order, stored values (X, Y, Z) and the true voxel-to-world matrix, RAS+ mm."""

    files: list[Path]
    stored: np.ndarray
    affine: np.ndarray
    series_uid: str


def head(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """A bright ellipsoid with a gradient and an off-center lesion, integers 0..1000, no two slices alike."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    values = np.where(x**2 + y**2 + z**2 < 1, 500 + 150 * x + 100 * y + 100 * z, 0)
    values += 300 * np.exp(-((x - 0.3) ** 2 + (y + 0.2) ** 2 + (z - 0.1) ** 2) / 0.02)
    values[0, 0] = np.arange(shape[2]) + 1
    return values.clip(0, 1000).astype(np.uint16)


def base_header(modality: str = "MR", **keywords: Any) -> Dataset:
    """What each image of any modality has."""
    header = Dataset()
    header.SOPClassUID = SOP_CLASSES[modality]
    header.SOPInstanceUID = generate_uid()
    header.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    header.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference"])
    header.PatientName, header.PatientID = PATIENT_NAME, PATIENT_ID
    header.PatientBirthDate, header.PatientSex, header.AccessionNumber = "19700101", "F", "ACC-0815"
    header.StudyDate, header.StudyTime, header.StudyID = "20240102", "090000", "1"
    header.ReferringPhysicianName = ""
    header.Modality = modality
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    for keyword, value in keywords.items():
        setattr(header, keyword, value)
    return header


def save(path: Path, dataset: Dataset, stored: np.ndarray, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a dataset with pixels ([frames,] rows, columns); compressed where ``syntax`` says so."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def directions(axes: Sequence[Sequence[float]]) -> np.ndarray:
    """Row, column and normal, LPS, as columns."""
    row, column = np.array(axes, dtype=np.float64)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def write_series(
    folder: Path,
    shape: tuple[int, int, int] = SHAPE,
    modality: str = "MR",
    stored: np.ndarray | None = None,
    axes: Sequence[Sequence[float]] = AXIAL,
    spacing: tuple[float, float, float] = SPACING,
    origin: tuple[float, float, float] = ORIGIN,
    step: Sequence[float] | None = None,
    per_slice: Callable[[int], dict[str, Any]] | None = None,
    skip: Sequence[int] = (),
    without: Sequence[str] = (),
    syntax: str = ExplicitVRLittleEndian,
    prefix: str = "IM",
    **keywords: Any,
) -> Phantom:
    """Write one single-frame file a slice, with names that do not sort like the slices.

    Args:
        folder: where to, it is made.
        shape: columns, rows, slices.
        modality: ``"MR"``, ``"CT"`` (intercept -1024), ``"PT"`` (slope 0.5 + k / 10 of slice k) or ``"NM"``.
        stored: integers (X, Y, Z) as they are stored. Defaults to ``head(shape)``.
        axes: direction cosines of a row and a column, LPS.
        spacing: of columns, rows and slices, mm.
        origin: position of the first voxel, LPS mm.
        step: from slice to slice, LPS mm. Defaults to the spacing along the normal.
        per_slice: keywords of slice k.
        skip: slices not to write.
        without: keywords to leave out.
        syntax: transfer syntax.
        prefix: of the file names.
        keywords: for all slices; they win over everything but ``per_slice``.
    """
    stored = head(shape) if stored is None else stored
    cosines = directions(axes)
    forward = cosines[:, 2] * spacing[2] if step is None else np.array(step, dtype=np.float64)
    common: dict[str, Any] = {
        "SeriesInstanceUID": generate_uid(),
        "SeriesNumber": 1,
        "SeriesDescription": f"{modality} phantom",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImageOrientationPatient": [round(float(c), 12) for c in cosines[:, :2].T.ravel()],
        "PixelSpacing": [spacing[1], spacing[0]],
        "SliceThickness": 99.0,  # wrong on purpose: spacing is measured
        "PixelRepresentation": int(stored.dtype.kind == "i"),
    }
    if modality == "CT":
        common |= {"RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU", "KVP": 120}
    common |= keywords
    files = []
    for k in range(stored.shape[2]):
        if k in skip:
            continue
        own: dict[str, Any] = {
            "InstanceNumber": k + 1,
            "ImagePositionPatient": [round(float(c), 9) for c in np.array(origin) + k * forward],
        }
        if modality == "PT":
            own |= {"RescaleIntercept": 0, "RescaleSlope": 0.5 + k / 10}
        dataset = base_header(modality, **(common | own | (per_slice(k) if per_slice else {})))
        for keyword in without:
            delattr(dataset, keyword)
        name = f"{prefix}{k * 701 % 1009:04d}"
        files.append(save(folder / name, dataset, np.ascontiguousarray(stored[:, :, k].T), syntax))
    affine = np.eye(4)
    affine[:3] = np.column_stack([cosines[:, 0] * spacing[0], cosines[:, 1] * spacing[1], forward, origin])
    affine[:2] *= -1
    return Phantom(files, stored, affine, common["SeriesInstanceUID"])


def suv_dose(**keywords: Any) -> list[Dataset]:
    """RadiopharmaceuticalInformationSequence with ``SUV_DOSE``; None takes a keyword away."""
    item = Dataset()
    for keyword, value in (SUV_DOSE | keywords).items():
        if value is not None:
            setattr(item, keyword, value)
    return [item]


def item_of(**keywords: Any) -> list[Dataset]:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in keywords.items():
        setattr(item, keyword, value)
    return [item]


def write_enhanced_mr(path: Path, order: Sequence[int] = tuple(range(SHAPE[2])), **keywords: Any) -> Phantom:
    """One Enhanced MR file, oblique, its frames in ``order``, rescaled by 2 and -5."""
    stored, cosines = head(), directions(OBLIQUE)
    dataset = base_header("MR", SOPClassUID=EnhancedMRImageStorage, NumberOfFrames=len(order), SeriesNumber=1)
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SharedFunctionalGroupsSequence = item_of(
        PlaneOrientationSequence=item_of(ImageOrientationPatient=cosines[:, :2].T.ravel().round(12).tolist()),
        PixelMeasuresSequence=item_of(PixelSpacing=[SPACING[1], SPACING[0]], SliceThickness=99),
        PixelValueTransformationSequence=item_of(RescaleSlope=2, RescaleIntercept=-5, RescaleType="US"),
    )
    positions = [np.array(ORIGIN) + k * SPACING[2] * cosines[:, 2] for k in order]
    dataset.PerFrameFunctionalGroupsSequence = [
        item_of(PlanePositionSequence=item_of(ImagePositionPatient=p.round(9).tolist()))[0] for p in positions
    ]
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    save(path, dataset, np.ascontiguousarray(stored.T[list(order)]))
    affine = np.eye(4)
    affine[:3] = np.column_stack([cosines * SPACING, ORIGIN])
    affine[:2] *= -1
    return Phantom([path], stored, affine, dataset.SeriesInstanceUID)


def write_nuclear(path: Path, spacing: float | None = -3.0, kind: str = "RECON TOMO", **keywords: Any) -> Phantom:
    """One NM file; a negative spacing stacks its frames against the normal."""
    stored = head()
    dataset = base_header("NM", NumberOfFrames=SHAPE[2], SeriesNumber=1, SliceThickness=3, **keywords)
    dataset.SeriesInstanceUID = generate_uid()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", kind, "EMISSION"]
    dataset.PixelSpacing = [SPACING[1], SPACING[0]]
    dataset.DetectorInformationSequence = item_of(
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=list(ORIGIN)
    )
    if spacing:
        dataset.SpacingBetweenSlices = spacing
    save(path, dataset, np.ascontiguousarray(stored.T))
    step = spacing or 3.0
    affine = np.diag([-SPACING[0], -SPACING[1], abs(step), 1])
    first = ORIGIN[2] + (step * (SHAPE[2] - 1) if step < 0 else 0)
    affine[:3, 3] = -ORIGIN[0], -ORIGIN[1], first
    return Phantom([path], stored[:, :, :: 1 if step > 0 else -1], affine, dataset.SeriesInstanceUID)


def csa_header(**values: Sequence[str]) -> bytes:
    """A CSA header of Siemens, version 2, with these values."""
    raw = b"SV10\4\3\2\1" + struct.pack("<2I", len(values), 77)
    for name, items in values.items():
        kind = b"IS" if items[0].isdecimal() else b"FD" if "." in items[0] else b"SH"
        raw += struct.pack("<64si4s3i", name.encode(), len(items), kind, 4, len(items), 77)
        for item in items:
            text = item.encode() + b"\0"
            raw += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + bytes(-len(text) % 4)
    return raw


def tiled(stored: np.ndarray, square: bool = True) -> np.ndarray:
    """Slices (X, Y, Z) as one image of tiles (rows, columns), from left to right and from top to bottom."""
    columns, rows, count = stored.shape
    across = int(np.ceil(np.sqrt(count)))
    down = across if square else int(np.ceil(count / across))
    image = np.zeros((down * rows, across * columns), stored.dtype)
    for k in range(count):
        row, column = k // across * rows, k % across * columns
        image[row : row + rows, column : column + columns] = stored[:, :, k].T
    return image


def write_mosaic(
    path: Path, against: bool = False, with_csa: bool = True, xa: bool = False, unknown: bool = False, **keywords: Any
) -> Phantom:
    """One oblique Siemens mosaic of ten slices.

    Args:
        path: the file.
        against: stack the slices against the normal of rows and columns.
        with_csa: write the CSA header.
        xa: write the private elements of Numaris X.
        unknown: write these with the VR UN, as archives do that do not know them.
        keywords: for the file.
    """
    stored, cosines = head(), directions(OBLIQUE)
    side, normal = 4, cosines[:, 2] * (-1 if against else 1)
    middle = cosines[:, 0] * SPACING[0] * SHAPE[0] + cosines[:, 1] * SPACING[1] * SHAPE[1]
    dataset = base_header("MR", SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    dataset.SeriesInstanceUID = generate_uid()
    dataset.ImageOrientationPatient = cosines[:, :2].T.ravel().round(12).tolist()
    dataset.ImagePositionPatient = (np.array(ORIGIN) - middle * (side - 1) / 2).round(9).tolist()
    dataset.PixelSpacing, dataset.SpacingBetweenSlices = [SPACING[1], SPACING[0]], SPACING[2]
    if with_csa:
        raw = csa_header(
            NumberOfImagesInMosaic=[str(SHAPE[2])],
            AcquisitionMatrixText=[f"{SHAPE[1]}*{SHAPE[0]}"],  # without it nibabel takes nothing for a mosaic
            SliceNormalVector=[f"{c:.9f}" for c in normal],
            ImageOrientationPatient=[f"{c:.9f}" for c in cosines[:, :2].T.ravel()],
        )
        dataset.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", raw)
    if xa:
        dataset.private_block(0x21, "SIEMENS MR SDS 01", create=True).add_new(0x01, "IS", "80")
        block = dataset.private_block(0x21, "SIEMENS MR SDI 02", create=True)
        vector = normal.tolist()
        block.add_new(0x01, "UN" if unknown else "US", struct.pack("<H", SHAPE[2]) if unknown else SHAPE[2])
        block.add_new(0x02, "UN" if unknown else "FD", struct.pack("<3d", *vector) if unknown else vector)
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    save(path, dataset, tiled(stored))
    affine = np.eye(4)
    affine[:3] = np.column_stack([cosines[:, :2] * SPACING[:2], normal * SPACING[2], ORIGIN])
    affine[:2] *= -1
    return Phantom([path], stored, affine, dataset.SeriesInstanceUID)


def write_grid(path: Path, **keywords: Any) -> Phantom:
    """One oblique UIH grid of ten slices in three rows, each with its position in a private sequence."""
    stored, cosines = head(), directions(OBLIQUE)
    dataset = base_header("MR", SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"])
    dataset.SeriesInstanceUID = generate_uid()
    dataset.ImageOrientationPatient = cosines[:, :2].T.ravel().round(12).tolist()
    dataset.ImagePositionPatient = list(ORIGIN)
    dataset.PixelSpacing = [SPACING[1], SPACING[0]]
    block = dataset.private_block(0x65, "Image Private Header", create=True)
    positions = [np.array(ORIGIN) + k * SPACING[2] * cosines[:, 2] for k in range(SHAPE[2])]
    block.add_new(0x50, "DS", str(SHAPE[2]))
    block.add_new(0x51, "SQ", [item_of(ImagePositionPatient=p.round(9).tolist())[0] for p in positions])
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    save(path, dataset, tiled(stored, square=False))
    affine = np.eye(4)
    affine[:3] = np.column_stack([cosines * SPACING, ORIGIN])
    affine[:2] *= -1
    return Phantom([path], stored, affine, dataset.SeriesInstanceUID)
