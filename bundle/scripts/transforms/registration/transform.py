"""Registration of two volumes of one patient by mutual information."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import look_up_option
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ...utils.checks import InputError
from ...utils.enums import RegistrationKind, RegistrationStart
from ...utils.files import write_atomically
from ...utils.intensity import otsu_threshold

__all__ = ["Limits", "RegisterToMatch", "RegisterToMatchd", "Registration", "normalized_mutual_information"]

WORKER = Path(__file__).with_name("worker.py")
ELASTIX_TRANSFORMS = {RegistrationKind.RIGID: "EulerTransform", RegistrationKind.AFFINE: "AffineTransform"}
COARSE, FINE = 2.0, 1.0  # mm; finer volumes are averaged down to about this, for the search and for the last step
LEVELS = {COARSE: (8.0, 4.0, 2.0), FINE: (2.0, 1.0)}  # mm; smoothing of the pyramids
AIR, BONE = -1000.0, 1500.0  # HU; CT is clipped to this range
BODY = -300.0  # HU; between air or lung and tissue
MARGIN = 5.0  # mm of background around the head that still count: its edge says where it is
BINS = 48
SAMPLES = 60_000
MIN_SIDE = 4  # voxels
RESTARTS = (((6.0, -5.0, 4.0), (7.0, -6.0, 8.0)), ((-5.0, 6.0, -6.0), (-8.0, 7.0, -6.0)))  # degrees, mm
DISTRACTORS = 10.0  # mm; the metric at the result is compared with that at six shifts of this length


@dataclass(frozen=True)
class Limits:
    """What a registration must keep to be believed.

    Args:
        rotation: degrees. Defaults to 45.
        scale: largest stretch of an affine along an axis, and its inverse the smallest. Defaults to 1.25.
        overlap: smallest part of the smaller foreground that lies in the other one. Defaults to 0.5.
        spread: largest mean distance, mm, between the results of independent starts that should agree. Defaults to 2.
        gain: smallest part of the metric's excess over 1 that a 10 mm shift must cost, whatever its direction. Defaults
            to 0.02.
        kept: smallest part of the excess over 1 of the metric with the files' geometry that must be left; an aligned
            pair loses a little, because the metric favors grids that coincide. Defaults to 0.9.
    """

    rotation: float = 45.0
    scale: float = 1.25
    overlap: float = 0.5
    spread: float = 2.0
    gain: float = 0.02
    kept: float = 0.9


@dataclass(frozen=True)
class Registration:
    """A transform between two volumes, and what is known of its quality.

    Args:
        kind: ``"rigid"`` or ``"affine"``.
        matrix: (4, 4), a point of the fixed image (RAS, millimetres) to the same point of the moving one, as lists.
        rotation_deg: rotation about the x, y and z axes, degrees.
        translation_mm: of the centre of the fixed image's foreground, millimetres.
        before: normalized mutual information with the geometry of the files.
        after: normalized mutual information with this transform; 1 is none, 2 is all.
        overlap: part of the smaller foreground that lies in the other one.
        spread_mm: mean distance between the rigid result and the farthest one of the two independent starts.
        gain: relative loss of ``after - 1`` at the best of six shifts of 10 mm.
        seconds: what it took.
    """

    kind: str
    matrix: list[list[float]]
    rotation_deg: list[float]
    translation_mm: list[float]
    before: float
    after: float
    overlap: float
    spread_mm: float
    gain: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"metric": "normalized mutual information", **asdict(self)}

    def write(self, path: str | os.PathLike) -> Path:
        """Write the transform as an ITK text file (.tfm), which 3D Slicer and ITK read.

        As ITK resamples, it maps points of the fixed image to the moving one, in LPS; 3D Slicer, where it is applied to
        the moving volume, inverts it by itself.

        Raises:
            InputError: When it cannot be written.
        """
        flip = np.diag([-1.0, -1.0, 1.0, 1.0])
        matrix = flip @ np.array(self.matrix) @ flip
        numbers = " ".join(f"{x:.12g}" for x in (*matrix[:3, :3].ravel(), *matrix[:3, 3]))
        text = (
            "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
            f"Parameters: {numbers}\nFixedParameters: 0 0 0\n"
        )
        return write_atomically(path, lambda temporary: temporary.write_text(text))


def normalized_mutual_information(a: np.ndarray, b: np.ndarray, bins: int = BINS) -> float:
    r"""Normalized mutual information :math:`(H(A) + H(B)) / H(A, B)` of paired samples.

    Args:
        a: samples of one image, (N,).
        b: samples of the other one at the same places, (N,).
        bins: of each histogram, over each image's range. Defaults to 48.

    Returns:
        From 1, where one says nothing of the other, to 2, where each determines the other; 1 where one is constant.

    Reference: Studholme, Hill and Hawkes, "An overlap invariant entropy measure of 3D medical image alignment",
    Pattern Recognition 1999, doi 10.1016/S0031-3203(98)00091-0.

    Example:
        >>> round(normalized_mutual_information(np.arange(100.0), np.arange(100.0) ** 2), 3) > 1.5
        True
    """
    joint, _, _ = np.histogram2d(a, b, bins=bins)
    joint /= joint.sum()

    def entropy(p: np.ndarray) -> float:
        p = p[p > 0]
        return float(-(p * np.log(p)).sum())

    both = entropy(joint)
    return (entropy(joint.sum(0)) + entropy(joint.sum(1))) / both if both > 0 else 1.0


class _Work:
    """A volume as it is registered: clipped to [0, 1], without table, averaged to about ``voxel`` millimetres."""

    def __init__(self, image: MetaTensor, name: str, voxel: float) -> None:
        if image.ndim != 4 or image.shape[0] != 1:
            raise ValueError(f"`{name}` must have shape (1, X, Y, Z), got {tuple(image.shape)}.")
        if min(image.shape[1:]) < MIN_SIDE:
            raise InputError(
                f"Registration: expected at least {MIN_SIDE} voxels along each axis, got {tuple(image.shape[1:])} for "
                f"the {name} image. Use registered images with --register none."
            )
        self.affine = image.affine.cpu().numpy().astype(np.float64)
        values = np.asarray(image[0].detach().cpu().numpy(), dtype=np.float32)
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        most = np.array(values.shape) // MIN_SIDE
        factors = np.clip((voxel / spacing + 0.25).astype(int), 1, most).tolist()
        values = self._average(values, factors)
        unit = image.meta.get("unit")
        hounsfield = unit == "HU" if unit else bool(values.min() < BODY)
        if hounsfield:
            values = values.clip(AIR, BONE)
        else:
            values = values.clip(*np.percentile(values, [0.05, 99.95]))
        if values.min() == values.max():
            raise InputError(f"Registration: expected structure, the {name} image is constant. Choose another series.")
        self.foreground = self._body(values, hounsfield)
        if not self.foreground.any():
            raise InputError(f"Registration: expected a body, the {name} image shows only air. Choose another series.")
        self.mask = self._grown(self.foreground)
        self.values = ((values - values.min()) / np.ptp(values)).astype(np.float32)
        if hounsfield:
            self.values[~self.mask] = 0.0

    def _average(self, values: np.ndarray, factors: Sequence[int]) -> np.ndarray:
        """Average blocks of voxels, and move the affine to the centres of the blocks."""
        if max(factors) == 1:
            return values
        shape = [n // f for n, f in zip(values.shape, factors, strict=True)]
        values = values[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
        blocks = values.reshape([x for n, f in zip(shape, factors, strict=True) for x in (n, f)])
        step = np.diag([*factors, 1.0])
        step[:3, 3] = (np.array(factors) - 1) / 2
        self.affine = self.affine @ step
        return blocks.mean(axis=(1, 3, 5))

    def _size(self, millimetres: float) -> list[int]:
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        return [2 * int(millimetres / size) + 1 for size in spacing]

    def _body(self, values: np.ndarray, hounsfield: bool) -> np.ndarray:
        """The largest connected part above the background, holes filled; a table's thin shell is opened away."""
        if hounsfield:
            above = values > BODY
            opened = ndimage.binary_opening(above, np.ones(self._size(3.0), bool))
            above = opened if opened.any() else above
        else:
            above = values > values.min() + (otsu_threshold(values) - values.min()) / 2  # dark tissue counts too
        labels, count = ndimage.label(above)
        if count > 1:
            above = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
        return ndimage.binary_fill_holes(above)

    def _grown(self, mask: np.ndarray) -> np.ndarray:
        return ndimage.maximum_filter(mask.astype(np.uint8), size=self._size(MARGIN)).astype(bool)

    def center(self, of_mass: bool) -> np.ndarray:
        """Centre of the foreground, or of the field of view, RAS."""
        index = ndimage.center_of_mass(self.foreground) if of_mass else (np.array(self.values.shape) - 1) / 2
        return (self.affine @ np.r_[index, 1.0])[:3]

    def points(self, mask: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Random voxels of a mask: their world coordinates (N, 4), and their values (N,)."""
        index = np.flatnonzero(mask)
        index = np.random.default_rng(seed).choice(index, min(count, len(index)), replace=False)
        where = np.stack([*np.unravel_index(index, mask.shape), np.ones(len(index))], axis=1)
        return where @ self.affine.T, self.values.ravel()[index]

    def at(self, points: np.ndarray, foreground: bool = False) -> np.ndarray:
        """Values, or foreground, at world coordinates (N, 4); outside 0."""
        index = (points @ np.linalg.inv(self.affine).T)[:, :3].T
        source = self.foreground.astype(np.uint8) if foreground else self.values
        return ndimage.map_coordinates(source, index, order=0 if foreground else 1, cval=0.0)


class _Worker:
    """The process in which elastix runs, for one registration; it is ended with it, or at the time limit.

    Args:
        time_limit: seconds for all jobs together, from now.
    """

    def __init__(self, time_limit: float) -> None:
        self.time_limit = time_limit
        self.end = time.monotonic() + time_limit
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.answers.put(line)
        self.answers.put("")

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def run(self, **job: Any) -> list[np.ndarray | None]:
        """Run one job; see ``elastix_worker.register``.

        Raises:
            InputError: When the time is over, elastix comes to an end from no start, or its process dies.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "job.npz"
            np.savez(path, **job)
            try:
                print(path, file=self.process.stdin, flush=True)
                line = self.answers.get(timeout=max(0.0, self.end - time.monotonic()))
            except BrokenPipeError:
                line = ""
            except queue.Empty:
                raise InputError(
                    f"Registration: not done after {self.time_limit:g} s, stopped. Allow more time with --time-limit, "
                    "or register the volumes with another tool first and use --register none."
                ) from None
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise InputError(
                f"Registration: elastix's process ended by itself: {last}. Is itk-elastix installed, is memory free?"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise InputError(f"Registration: elastix could not align the volumes: {answer['error']}")
        return [None if matrix is None else np.array(matrix) for matrix in answer["matrices"]]


def _shift(offset: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def _about(center: np.ndarray, degrees: Sequence[float], millimetres: Sequence[float]) -> np.ndarray:
    """Rotation about a centre, then a shift, (4, 4)."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return _shift(center + np.array(millimetres)) @ turn @ _shift(-center)


class RegisterToMatch(InvertibleTransform):
    r"""Estimate where a moving volume lies in a fixed one's space, and rewrite its affine; voxels are not touched.

    Mutual information (Mattes) is maximized by adaptive stochastic gradient descent in elastix, first at 2 mm on a
    pyramid of three levels from each start, the files' own geometry and matching centres of mass, then at 1 mm. With T
    the result, fixed to moving, the moving affine A becomes :math:`T^{-1} A`; ``ResampleVolume``, or MONAI's
    ``ResampleToMatch``, then resamples. Air counts only within 5 mm of the head; the table of a CT is removed (``unit``
    of the meta data says ``"HU"``; where it says nothing, values below -300 do).

    A result is believed only if it is plausible: two further registrations, started away from it, must come back
    to it (:class:`Limits` has the figures).

    Args:
        kind: ``"rigid"`` or ``"affine"``. Defaults to ``"rigid"``.
        start: ``"best"`` tries all and takes the best; ``"geometry"``, ``"center_of_mass"`` or ``"center"`` (of the
            fields of view) only that one. Defaults to ``"best"``.
        seed: of elastix's random samples. Defaults to 0.
        time_limit: seconds for all of it. Defaults to 300.
        limits: what to believe. Defaults to ``Limits()``.

    Shape:
        moving, fixed: (1, X, Y, Z) MetaTensors, in any units, with perpendicular axes.

    Raises:
        ValueError: When ``kind`` or ``start`` is not known, or a shape is wrong.
        InputError: When the result is not plausible, with the figures; when a volume is constant, shows only air or has
            less than 4 voxels along an axis; when the time limit is reached.

    Reference: Klein et al., "elastix: a toolbox for intensity-based medical image registration", IEEE TMI 2010, doi
    10.1109/TMI.2009.2035616; Mattes et al., "PET-CT image registration in the chest using free-form deformations", IEEE
    TMI 2003, doi 10.1109/TMI.2003.809072.
    """

    def __init__(
        self,
        kind: RegistrationKind | str = RegistrationKind.RIGID,
        start: RegistrationStart | str = RegistrationStart.BEST,
        seed: int = 0,
        time_limit: float = 300.0,
        limits: Limits | None = None,
    ) -> None:
        self.kind = RegistrationKind(look_up_option(kind, RegistrationKind))
        self.start = RegistrationStart(look_up_option(start, RegistrationStart))
        self.seed = seed
        self.time_limit = time_limit
        self.limits = limits or Limits()

    def estimate(self, moving: MetaTensor, fixed: MetaTensor) -> Registration:
        """Find the transform without applying it."""
        began = time.perf_counter()
        with _Worker(self.time_limit) as worker:
            works = {voxel: (_Work(fixed, "fixed", voxel), _Work(moving, "moving", voxel)) for voxel in (COARSE, FINE)}
            still, other = works[COARSE]
            points, values = still.points(still.mask, SAMPLES, self.seed)
            inside, _ = still.points(still.foreground, SAMPLES // 10, self.seed)

            def metric(matrix: np.ndarray) -> float:
                return normalized_mutual_information(values, other.at(points @ matrix.T))

            def run(
                voxel: float, starts: Sequence[np.ndarray], kind: RegistrationKind = RegistrationKind.RIGID
            ) -> list[np.ndarray | None]:
                a, b = works[voxel]
                return worker.run(
                    fixed=a.values,
                    fixed_affine=a.affine,
                    mask=a.mask,
                    moving=b.values,
                    moving_affine=b.affine,
                    starts=np.array(starts),
                    levels=LEVELS[voxel],
                    kind=ELASTIX_TRANSFORMS[kind],
                    seed=self.seed + 1,  # elastix takes 0 for a random seed
                )

            first = max(_ended(run(COARSE, self._starts(still, other))), key=metric)
            center = still.center(of_mass=True)
            again = run(COARSE, [first @ _about(center, *restart) for restart in RESTARTS])
            coarse = max([first, *_ended(again)], key=metric)
            (rigid,) = _ended(run(FINE, [coarse]))
            (best,) = [rigid] if self.kind is RegistrationKind.RIGID else _ended(run(FINE, [rigid], self.kind))
        after = metric(best)
        shifts = [np.eye(3)[axis] * sign * DISTRACTORS for axis, sign in itertools.product(range(3), (-1, 1))]
        distracted = max(metric(best @ _shift(offset)) for offset in shifts)
        apart = [np.inf if m is None else np.linalg.norm(inside @ (rigid - m).T, axis=1).mean() for m in again]
        rotation, stretch = _polar(best[:3, :3])
        found = Registration(
            kind=str(self.kind),
            matrix=best.tolist(),
            rotation_deg=Rotation.from_matrix(rotation).as_euler("xyz", degrees=True).tolist(),
            translation_mm=((best @ np.r_[center, 1.0])[:3] - center).tolist(),
            before=metric(np.eye(4)),
            after=after,
            overlap=_overlap(still, other, best, self.seed),
            spread_mm=float(max(apart)),
            gain=(after - distracted) / max(after - 1.0, 1e-9),
            seconds=time.perf_counter() - began,
        )
        self._check(found, rotation, stretch)
        return found

    def _starts(self, still: _Work, other: _Work) -> list[np.ndarray]:
        starts = {
            RegistrationStart.GEOMETRY: np.eye(4),
            RegistrationStart.CENTER_OF_MASS: _shift(other.center(of_mass=True) - still.center(of_mass=True)),
            RegistrationStart.CENTER: _shift(other.center(of_mass=False) - still.center(of_mass=False)),
        }
        if self.start is not RegistrationStart.BEST:
            return [starts[self.start]]
        mass = starts[RegistrationStart.CENTER_OF_MASS]
        overlaps = _overlap(still, other, np.eye(4), self.seed) >= self.limits.overlap
        return [mass, starts[RegistrationStart.GEOMETRY if overlaps else RegistrationStart.CENTER]]

    def _check(self, found: Registration, rotation: np.ndarray, stretch: np.ndarray) -> None:
        limits = self.limits
        angle = float(np.degrees(Rotation.from_matrix(rotation).magnitude()))
        wrong = []
        if angle > limits.rotation:
            wrong.append(f"it turns by {angle:.0f} degrees (limit {limits.rotation:g})")
        if stretch.max() > limits.scale or stretch.min() < 1 / limits.scale:
            wrong.append(f"it stretches by {stretch.min():.2f} to {stretch.max():.2f} (limit {limits.scale:g})")
        if found.overlap < limits.overlap:
            wrong.append(f"only {found.overlap:.0%} of the heads overlap (limit {limits.overlap:.0%})")
        if found.spread_mm > limits.spread:
            wrong.append(f"other starts end {found.spread_mm:.1f} mm away (limit {limits.spread:g} mm)")
        if found.after - 1 < limits.kept * (found.before - 1):
            wrong.append(f"the metric fell from {found.before:.4f} to {found.after:.4f}")
        if found.gain < limits.gain:
            wrong.append(f"a {DISTRACTORS:g} mm shift costs {found.gain:.1%} of the metric (limit {limits.gain:.0%})")
        if wrong:
            raise InputError(
                f"Registration: expected a plausible alignment, but {'; '.join(wrong)}; normalized mutual information "
                f"{found.before:.4f} before, {found.after:.4f} after. Are both of one patient and region? If so, "
                "register them with another tool first and use --register none."
            )

    def __call__(  # type: ignore[override]
        self, moving: MetaTensor, fixed: MetaTensor, registration: Registration | None = None
    ) -> MetaTensor:
        """Return the moving volume with its new affine.

        Args:
            moving: volume to register.
            fixed: volume to register to.
            registration: what ``estimate`` found. Defaults to None: estimate it here.
        """
        registration = registration or self.estimate(moving, fixed)
        affine = torch.linalg.inv(torch.tensor(registration.matrix, dtype=torch.float64)) @ moving.affine
        result = self._with_affine(moving, affine)
        self.push_transform(result, extra_info={"matrix": registration.matrix})
        return result

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Give the volume its own affine back."""
        matrix = self.pop_transform(data)["extra_info"]["matrix"]
        return self._with_affine(data, torch.tensor(matrix, dtype=torch.float64) @ data.affine)

    @staticmethod
    def _with_affine(image: MetaTensor, affine: torch.Tensor) -> MetaTensor:
        """The same voxels, not copied, with another affine."""
        meta = {**image.meta, "affine": affine}
        return MetaTensor(image.as_tensor(), meta=meta, applied_operations=[*image.applied_operations])


def _ended(matrices: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Those of the runs that came to an end."""
    return [matrix for matrix in matrices if matrix is not None]


def _polar(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and principal stretches of a linear map."""
    u, stretch, v = np.linalg.svd(matrix)
    return u @ v, stretch


def _overlap(still: _Work, other: _Work, matrix: np.ndarray, seed: int) -> float:
    """Part of the smaller foreground that lies in the other one."""
    volumes = [work.foreground.sum() * abs(np.linalg.det(work.affine[:3, :3])) for work in (still, other)]
    small, large, there = (still, other, matrix) if volumes[0] <= volumes[1] else (other, still, np.linalg.inv(matrix))
    points, _ = small.points(small.foreground, SAMPLES // 10, seed)
    return float(large.at(points @ there.T, foreground=True).mean())


class RegisterToMatchd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`RegisterToMatch`.

    Args:
        keys: keys of the moving volumes.
        key_dst: key of the fixed volume.
        kind: see :class:`RegisterToMatch`; ``"none"`` leaves all as it is, ``"auto"`` registers rigidly, but not where
            the two share their voxel grid or their DICOM frame of reference. Defaults to ``"auto"``.
        start: see :class:`RegisterToMatch`.
        seed: see :class:`RegisterToMatch`.
        time_limit: see :class:`RegisterToMatch`.
        limits: what to believe, by the names of :class:`Limits`. Defaults to None: its defaults.
        postfix: the :class:`Registration` found is kept under ``<key>_<postfix>``, None where none was needed,
            and the volume as it was under ``<key>_unregistered``. Defaults to ``"registration"``.
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(
        self,
        keys: KeysCollection,
        key_dst: str,
        kind: str = "auto",
        start: RegistrationStart | str = RegistrationStart.BEST,
        seed: int = 0,
        time_limit: float = 300.0,
        limits: Mapping[str, float] | None = None,
        postfix: str = "registration",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.key_dst = key_dst
        self.kind = look_up_option(kind, ("auto", "none", *RegistrationKind))
        rigid = self.kind in ("auto", "none")
        kind = RegistrationKind.RIGID if rigid else kind
        self.register = RegisterToMatch(kind, start, seed, time_limit, Limits(**limits or {}))
        self.postfix = postfix

    def _aligned(self, moving: MetaTensor, fixed: MetaTensor) -> bool:
        frames = [image.meta.get("frame_of_reference") for image in (moving, fixed)]
        same_grid = moving.shape == fixed.shape and torch.allclose(moving.affine, fixed.affine, atol=1e-3)
        return same_grid or (frames[0] is not None and frames[0] == frames[1])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Register each moving volume."""
        d = dict(data)
        fixed = d[self.key_dst]
        for key in self.key_iterator(d):
            registration = None
            if self.kind != "none" and not (self.kind == "auto" and self._aligned(d[key], fixed)):
                registration = self.register.estimate(d[key], fixed)
                d[f"{key}_unregistered"] = d[key]
                d[key] = self.register(d[key], fixed, registration)
            d[f"{key}_{self.postfix}"] = registration
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give each moving volume its own affine back."""
        d = dict(data)
        for key in self.key_iterator(d):
            if d.get(f"{key}_{self.postfix}") is not None:
                d[key] = self.register.inverse(d[key])
        return d


RegisterToMatchD = RegisterToMatchDict = RegisterToMatchd
