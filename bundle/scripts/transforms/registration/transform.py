"""Registration of two volumes of one patient by mutual information, as MONAI transforms."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import look_up_option

from ...utils.enums import RegistrationKind, RegistrationStart, StudyKeys
from ...utils.files import write_atomically
from .plausibility import Limits, check_plausible, gain, rotation_and_stretch, spread
from .search import Pair, SearchJob
from .settings import SearchSettings
from .similarity import foreground_samples, overlap, similarity_between
from .volumes import prepare
from .worker import search_in_process

__all__ = ["RegisterToMatch", "RegisterToMatchd", "Registration"]

AUTO, NONE = "auto", "none"
Figures = TypeVar("Figures", Limits, SearchSettings)


@dataclass(frozen=True)
class Registration:
    """A transform between two volumes, and what is known of its quality.

    Args:
        kind: ``"rigid"`` or ``"affine"``.
        matrix: (4, 4), a point of the fixed image (RAS, millimeters) to the same point of the moving one, as lists.
        rotation_deg: rotation about the x, y and z axes, degrees.
        translation_mm: of the center of the fixed image's foreground, millimeters.
        before: normalized mutual information with the geometry of the files.
        after: normalized mutual information with this transform; 1 is none, 2 is all.
        overlap: part of the smaller foreground that lies in the other one.
        spread_mm: mean distance between the rigid result and the farthest one of the independent restarts.
        gain: relative loss of ``after - 1`` at the best of six shifts of 10 mm.
        seconds: what it took.
        itk_text: the same transform as the text of an ITK transform file, in LPS. ITK's writer makes it in elastix's
            process, where it costs 0.05 s; in this one it would load ITK, 0.8 s, by ``itk.transformwrite`` 7 s.
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
    itk_text: str = dataclasses.field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        figures = {name: value for name, value in asdict(self).items() if name != "itk_text"}
        return {"metric": "normalized mutual information", **figures}

    def write(self, path: str | os.PathLike) -> Path:
        """Write the transform as an ITK text file (.tfm), which 3D Slicer and ITK read.

        As ITK resamples, it maps points of the fixed image to the moving one, in LPS; 3D Slicer, where it is applied to
        the moving volume, inverts it by itself.

        Raises:
            InputError: When it cannot be written.
        """
        return write_atomically(path, lambda temporary: temporary.write_text(self.itk_text, encoding="ascii"))


class RegisterToMatch(InvertibleTransform):
    r"""Estimate where a moving volume lies in a fixed one's space, and rewrite its affine; voxels are not touched.

    Mutual information (Mattes) is maximized by adaptive stochastic gradient descent in elastix, first at 2 mm on a
    pyramid of three levels from each start, the files' own geometry and matching centers of mass, then at 1 mm. With T
    the result, fixed to moving, the moving affine A becomes :math:`T^{-1} A`; ``ResampleVolume``, or MONAI's
    ``ResampleToMatch``, then resamples. Air counts only within 5 mm of the head; the table of a CT is removed (``unit``
    of the meta data says ``"HU"``; where it says nothing, values below -300 do).

    A result is believed only if it is plausible: two further registrations, started away from it, must come back
    to it (:class:`~.plausibility.Limits` has the figures).

    Args:
        kind: ``"rigid"`` or ``"affine"``. Defaults to ``"rigid"``.
        start: ``"best"`` tries all and takes the best; ``"geometry"``, ``"center_of_mass"`` or ``"center"`` (of the
            fields of view) only that one. Defaults to ``"best"``.
        seed: of the random samples. Defaults to 0.
        time_limit: seconds for all of it. Defaults to 300.
        limits: what to believe. Defaults to None: ``Limits()``.
        search: how the volumes are prepared and the search goes. Defaults to None: ``SearchSettings()``.

    Shape:
        moving, fixed: (1, X, Y, Z) MetaTensors, in any units, with perpendicular axes.

    Raises:
        ValueError: When ``kind`` or ``start`` is not known, or a shape is wrong.
        InputError: When the result is not plausible, with the figures; when a volume is constant, shows only air or has
            less than 4 voxels along an axis; when the time limit is reached, or elastix fails.

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
        search: SearchSettings | None = None,
    ) -> None:
        self.kind = RegistrationKind(look_up_option(kind, RegistrationKind))
        self.start = RegistrationStart(look_up_option(start, RegistrationStart))
        self.seed = seed
        self.time_limit = time_limit
        self.limits = limits or Limits()
        self.search = search or SearchSettings()

    def estimate(self, moving: MetaTensor, fixed: MetaTensor) -> Registration:
        """Find the transform without applying it."""
        from scipy.spatial.transform import Rotation

        began = time.perf_counter()
        job = SearchJob(
            coarse=self._prepared(moving, fixed, self.search.coarse_voxel),
            fine=self._prepared(moving, fixed, self.search.fine_voxel),
            kind=self.kind,
            start=self.start,
            seed=self.seed,
            least_overlap=self.limits.overlap,
            settings=self.search,
        )
        result, itk_text = search_in_process(job, self.time_limit, began)
        similarity = similarity_between(*job.coarse, self.search, self.seed)
        center = job.coarse[0].center(of_mass=True)
        head = foreground_samples(job.coarse[0], self.search, self.seed)
        rotation, _ = rotation_and_stretch(result.best)
        found = Registration(
            kind=str(self.kind),
            matrix=result.best.tolist(),
            rotation_deg=Rotation.from_matrix(rotation).as_euler("xyz", degrees=True).tolist(),
            translation_mm=((result.best @ np.r_[center, 1.0])[:3] - center).tolist(),
            before=similarity(np.eye(4)),
            after=similarity(result.best),
            overlap=overlap(*job.coarse, result.best, self.search, self.seed),
            spread_mm=spread(result.rigid, result.restarts, head),
            gain=gain(similarity, result.best, self.search.distractor),
            seconds=time.perf_counter() - began,
            itk_text=itk_text,
        )
        check_plausible(found, self.limits, self.search.distractor)
        return found

    def _prepared(self, moving: MetaTensor, fixed: MetaTensor, voxel: float) -> Pair:
        return prepare(fixed, "fixed", voxel, self.search), prepare(moving, "moving", voxel, self.search)

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


class RegisterToMatchd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`RegisterToMatch`.

    The :class:`Registration` that was found is kept under ``<key>_registration``, None where none was needed, and the
    volume as it was under ``<key>_unregistered`` (:class:`StudyKeys`).

    Args:
        keys: keys of the moving volumes.
        key_dst: key of the fixed volume.
        kind: see :class:`RegisterToMatch`; ``"none"`` leaves all as it is, ``"auto"`` registers rigidly, but not where
            the two share their voxel grid or their DICOM frame of reference. Defaults to ``"auto"``.
        start: see :class:`RegisterToMatch`.
        seed: see :class:`RegisterToMatch`.
        time_limit: see :class:`RegisterToMatch`.
        limits: what to believe, by the names of :class:`~.plausibility.Limits`. Defaults to None: its defaults.
        search: how to search, by the names of :class:`~.settings.SearchSettings`. Defaults to None: its defaults.
        allow_missing_keys: skip missing keys. Defaults to False.

    Raises:
        ValueError: When ``kind``, ``start``, or a name in ``limits`` or ``search`` is not known.
    """

    def __init__(
        self,
        keys: KeysCollection,
        key_dst: str,
        kind: str = AUTO,
        start: RegistrationStart | str = RegistrationStart.BEST,
        seed: int = 0,
        time_limit: float = 300.0,
        limits: Mapping[str, float] | None = None,
        search: Mapping[str, Any] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.key_dst = key_dst
        self.kind = look_up_option(kind, (AUTO, NONE, *RegistrationKind))
        kind = RegistrationKind.RIGID if self.kind in (AUTO, NONE) else kind
        figures = _figures(Limits, limits), _figures(SearchSettings, search)
        self.register = RegisterToMatch(kind, start, seed, time_limit, *figures)

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
            if self.kind != NONE and not (self.kind == AUTO and self._aligned(d[key], fixed)):
                registration = self.register.estimate(d[key], fixed)
                d[StudyKeys.unregistered(str(key))] = d[key]
                d[key] = self.register(d[key], fixed, registration)
            d[StudyKeys.registration(str(key))] = registration
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give each moving volume its own affine back."""
        d = dict(data)
        for key in self.key_iterator(d):
            if d.get(StudyKeys.registration(str(key))) is not None:
                d[key] = self.register.inverse(d[key])
        return d


def _figures(kind: type[Figures], values: Mapping[str, Any] | None) -> Figures:
    """Make ``kind`` of what a config says; a name that it does not know is refused, with the near miss."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{look_up_option(name, names): value for name, value in (values or {}).items()})


RegisterToMatchD = RegisterToMatchDict = RegisterToMatchd
