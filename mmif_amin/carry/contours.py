"""Reading the contours of an RT Structure Set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..scripts.dicom.privacy import public_text
from ..scripts.utils.checks import InputError
from ..scripts.utils.geometry import lps_from_ras
from .structures import DrawnFile, Structure

__all__ = ["read_contours"]

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
FINEST = 0.25  # mm; a drawing is not more exact
PIXELS = 160  # along the longer side of a structure, at least, as far as FINEST allows
COARSEST = 1.0  # mm
FINE = 4  # parts of a pixel along each axis, by which its share inside is counted
FLAT = 0.2  # mm by which the points of one contour may leave its plane, and contours may not be parallel
UNEVEN = 0.3  # of the distance of the planes, by which a contour may lie off its plane
SINGLE_SLICE = 3.0  # mm; thickness of a structure of one contour whose file does not tell


def read_contours(path: Path, header: Any) -> DrawnFile:
    """Read the closed contours of a structure set, one structure a region of interest (ROI).

    Contours of one ROI in one plane are combined as exclusive or, so that an inner one is a hole.

    Args:
        path: the file, for messages.
        header: its dataset.

    Raises:
        InputError: When no region has closed contours, they are damaged, or they are not parallel.
    """
    frames = {str(item.get("FrameOfReferenceUID", "")) for item in header.get("ReferencedFrameOfReferenceSequence", [])}
    frames |= {str(i.get("ReferencedFrameOfReferenceUID", "")) for i in header.get("StructureSetROISequence", [])}
    frames -= {""}
    if len(frames) > 1:
        raise InputError(f"{path}: expected contours of one frame of reference, got {len(frames)}. Split the file.")
    names = {int(item.ROINumber): str(item.get("ROIName") or "") for item in header.get("StructureSetROISequence", [])}
    structures, notes = [], []
    for roi in header.get("ROIContourSequence", []):
        number = int(roi.ReferencedROINumber)
        name = names.get(number) or f"ROI {number}"
        closed = [c for c in roi.get("ContourSequence", []) if c.get("ContourGeometricType") in CLOSED]
        drawn = [_points(contour, path) for contour in closed]
        points = [one for one in drawn if len(one) >= 3]
        if not points:
            notes.append(f"{public_text(name, header)}: no closed contours, left out")
            continue
        if len(points) < len(drawn):
            notes.append(f"{public_text(name, header)}: {len(drawn) - len(points)} contours of 1 or 2 points left out")
        color = roi.get("ROIDisplayColor")
        share, affine = _stack(points, path)
        structures.append(Structure(name, share, affine, tuple(map(int, color)) if color else None))  # type: ignore[arg-type]
    if not structures:
        raise InputError(
            f"{path}: expected closed contours, found none. Choose a structure set in which some are drawn."
        )
    return DrawnFile(path, header, next(iter(frames), ""), _series(header), tuple(structures), tuple(notes))


def _series(header: Any) -> frozenset[str]:
    """SeriesInstanceUIDs of the images on which the contours were drawn."""
    return frozenset(
        str(series.SeriesInstanceUID)
        for frame in header.get("ReferencedFrameOfReferenceSequence", [])
        for study in frame.get("RTReferencedStudySequence", [])
        for series in study.get("RTReferencedSeriesSequence", [])
    )


def _points(contour: Any, path: Path) -> np.ndarray:
    """Points of a contour, (N, 3), LPS+, mm."""
    points = np.array(contour.get("ContourData") or [], dtype=np.float64)
    if points.size % 3 or not np.isfinite(points).all():
        raise InputError(f"{path}: expected contours of three finite numbers a point, got others. Export them again.")
    return points.reshape(-1, 3)


def _stack(contours: Sequence[np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Shares of voxels inside, on a grid of the contours' own planes, and its affine, RAS+."""
    axes = _axes(contours)
    local = [points @ axes.T for points in contours]
    if max(np.ptp(points[:, 2]) for points in local) > FLAT:
        raise InputError(f"{path}: expected flat and parallel contours, got others. Export them as a DICOM SEG.")
    depths = np.array([points[:, 2].mean() for points in local])
    step = _step(depths)
    layers = np.rint((depths - depths.min()) / step).astype(int)
    if np.abs(depths - depths.min() - layers * step).max() > UNEVEN * step:
        raise InputError(f"{path}: expected contours in evenly spaced planes, got others. Export them as a DICOM SEG.")
    everywhere = np.concatenate(local)[:, :2]
    low, size = everywhere.min(axis=0), np.ptp(everywhere, axis=0)
    pixel = float(np.clip(size.max() / PIXELS, FINEST, COARSEST))
    low = low - pixel
    shape = np.ceil(size / pixel).astype(int) + 3
    share = np.zeros((*shape, layers.max() + 1), dtype=np.float32)
    for layer in np.unique(layers):
        members = [points[:, :2] for points, k in zip(local, layers, strict=True) if k == layer]
        share[:, :, layer] = _drawn([(points - low) / pixel for points in members], shape)
    affine = np.eye(4)
    affine[:3, :3] = (axes * np.array([[pixel], [pixel], [step]])).T
    affine[:3, 3] = axes.T @ [*low, depths.min()]
    return share, lps_from_ras(affine)


def _axes(contours: Sequence[np.ndarray]) -> np.ndarray:
    """Two directions in the contours' planes and their normal, (3, 3), by rows."""
    largest = max(contours, key=lambda points: float(np.ptp(points, axis=0).max()))
    _, _, directions = np.linalg.svd(largest - largest.mean(axis=0))
    normal = directions[2] * np.sign(directions[2][np.abs(directions[2]).argmax()])
    across = np.eye(3)[np.abs(normal).argmin()]
    first = across - normal * (across @ normal)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal])


def _step(depths: np.ndarray) -> float:
    """Distance of the planes: the smallest gap between two, mm."""
    gaps = np.diff(np.unique(depths.round(2)))
    gaps = gaps[gaps > FLAT]
    return float(np.median(gaps[gaps < 1.5 * gaps.min()])) if gaps.size else SINGLE_SLICE


def _drawn(polygons: Sequence[np.ndarray], shape: np.ndarray) -> np.ndarray:
    """Which share of each pixel lies inside, by exclusive or; a pixel's center has whole coordinates."""
    columns, rows = shape
    crossings = np.zeros((rows * FINE, columns * FINE), dtype=np.uint8)
    for points in polygons:
        fine = (points + 0.5) * FINE - 0.5
        for (x, y), (u, v) in zip(fine, np.roll(fine, -1, axis=0), strict=True):
            lines = np.arange(np.ceil(min(y, v)), np.ceil(max(y, v))).astype(int)
            if lines.size:
                right_of = np.ceil(x + (lines - y) * (u - x) / (v - y)).astype(int)
                crossings[lines, right_of.clip(0, columns * FINE - 1)] += 1
    inside = np.cumsum(crossings, axis=1, dtype=np.uint32) % 2
    return inside.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3)).T.astype(np.float32)
