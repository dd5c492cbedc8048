"""Registration of two volumes of one patient by mutual information, or by a file, as MONAI transforms."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import look_up_option

from ...utils.checks import InputError
from ...utils.enums import BodyRegion, RegistrationKind, RegistrationStart, StudyKeys
from .alignment import SCAN_VOXEL, Alignment, measure_alignment
from .estimate import Estimator, prepared_pair
from .itk_files import itk_transform_text
from .plausibility import REGION_LIMITS, Limits
from .result import FROM_FILE, Registration
from .search import SearchResult
from .settings import SearchSettings
from .transform_file import read_transform
from .warp import warp

__all__ = ["RegisterToMatch", "RegisterToMatchd"]

logger = logging.getLogger("mmif_amin")

AUTO, NONE = "auto", "none"
Figures = TypeVar("Figures", Limits, SearchSettings)


class RegisterToMatch(InvertibleTransform):
    r"""Estimate where a moving volume lies in a fixed one's space, and rewrite its affine; voxels are not touched.

    Mutual information (Mattes) is maximized by adaptive stochastic gradient descent in elastix, first at 2 mm on a
    pyramid of three levels from each start, the files' own geometry and matching centers of mass, then at 1 mm. With T
    the result, fixed to moving, the moving affine A becomes :math:`T^{-1} A`; ``ResampleVolume``, or MONAI's
    ``ResampleToMatch``, then resamples. A deformation cannot be written into an affine: there the volume is resampled
    here. Air counts only within 5 mm of the body; the table of a CT is removed (``unit`` of the meta data says
    ``"HU"``; where it says nothing, values below -300 do).

    A result is believed only if it is plausible: two further registrations, started away from it, must come back
    to it (:class:`~.plausibility.Limits` has the figures, :data:`~.plausibility.REGION_LIMITS` those of each body
    region). Where it is not, or where the metric has a higher peak elsewhere, further methods are tried
    (:mod:`~.methods`), and the best score on the whole volumes wins.

    Args:
        kind: ``"rigid"``, ``"affine"`` or ``"deformable"``. Defaults to ``"rigid"``.
        start: ``"best"`` tries all and takes the best; ``"geometry"``, ``"center_of_mass"`` or ``"center"`` (of the
            fields of view) only that one. Defaults to ``"best"``.
        seed: of the random samples. Defaults to 0.
        time_limit: seconds for all of it. Defaults to 300.
        limits: what to believe, by the names of :class:`~.plausibility.Limits`; it goes before the region's. Defaults
            to None: those of the region.
        search: how the volumes are prepared and the search goes. Defaults to None: ``SearchSettings()``.
        accept: take a result that breaks limits, and say so in it. Defaults to False.

    Shape:
        moving, fixed: (1, X, Y, Z) MetaTensors, in any units, with perpendicular axes. ``region`` of the fixed one's
        ``meta`` is a :class:`~scripts.utils.enums.BodyRegion`; where it says nothing, the limits are the head's.

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
        limits: Mapping[str, float] | None = None,
        search: SearchSettings | None = None,
        accept: bool = False,
    ) -> None:
        self.kind = RegistrationKind(look_up_option(kind, RegistrationKind))
        self.start = RegistrationStart(look_up_option(start, RegistrationStart))
        self.seed = seed
        self.time_limit = time_limit
        self.own_limits = dict(limits or {})
        _figures(Limits, self.own_limits)
        self.search = search or SearchSettings()
        self.accept = accept

    def limits_for(self, fixed: MetaTensor) -> Limits:
        """The limits for what a volume shows."""
        region = fixed.meta.get("region")
        return _figures(Limits, {**(REGION_LIMITS[BodyRegion(region)] if region else {}), **self.own_limits})

    def _estimator(self, fixed: MetaTensor) -> Estimator:
        return Estimator(
            self.kind, self.start, self.seed, self.time_limit, self.limits_for(fixed), self.search, self.accept
        )

    def estimate(self, moving: MetaTensor, fixed: MetaTensor) -> Registration:
        """Find the transform without applying it."""
        return self._estimator(fixed).estimate(moving, fixed)

    def from_file(self, path: str | os.PathLike, moving: MetaTensor, fixed: MetaTensor) -> Registration:
        """The transform of a file with its figures; no limit is asked of it.

        Raises:
            InputError: When the file cannot be used; see ``read_transform``.
        """
        began = time.perf_counter()
        frames = fixed.meta.get("frame_of_reference"), moving.meta.get("frame_of_reference")
        matrix = read_transform(path, frames)
        pair = prepared_pair(moving, fixed, self.search.coarse_voxel, self.search)
        result = SearchResult(rigid=matrix, best=matrix, restarts=[])
        found = self._estimator(fixed).judged(pair, result, itk_transform_text(matrix), FROM_FILE)
        return dataclasses.replace(found, kind=FROM_FILE, seconds=time.perf_counter() - began)

    def alignment(self, moving: MetaTensor, fixed: MetaTensor, reason: str) -> Alignment:
        """Say how well two volumes agree as they stand; without a value where that cannot be measured."""
        try:
            pair = prepared_pair(moving, fixed, SCAN_VOXEL, self.search)
        except InputError as error:
            return Alignment(reason, None, warning=f"the alignment could not be measured: {error}")
        return measure_alignment(*pair, reason, np.eye(4))

    def __call__(  # type: ignore[override]
        self,
        moving: MetaTensor,
        fixed: MetaTensor,
        registration: Registration | None = None,
        grid: MetaTensor | None = None,
    ) -> MetaTensor:
        """Return the moving volume with its new affine; where it is deformed, resampled.

        Args:
            moving: volume to register.
            fixed: volume to register to.
            registration: what ``estimate`` found. Defaults to None: estimate it here.
            grid: onto which a deformed volume is resampled. Defaults to None: the fixed volume's.
        """
        registration = registration or self.estimate(moving, fixed)
        if registration.deformation is not None:
            return warp(moving, fixed if grid is None else grid, registration.deformation)
        affine = torch.linalg.inv(torch.tensor(registration.matrix, dtype=torch.float64)) @ moving.affine
        result = self._with_affine(moving, affine)
        self.push_transform(result, extra_info={"matrix": registration.matrix})
        return result

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Give the volume its own affine back; a deformed one has kept nothing of it and is refused by MONAI."""
        matrix = self.pop_transform(data)["extra_info"]["matrix"]
        return self._with_affine(data, torch.tensor(matrix, dtype=torch.float64) @ data.affine)

    @staticmethod
    def _with_affine(image: MetaTensor, affine: torch.Tensor) -> MetaTensor:
        """The same voxels, not copied, with another affine."""
        meta = {**image.meta, "affine": affine}
        return MetaTensor(image.as_tensor(), meta=meta, applied_operations=[*image.applied_operations])


class RegisterToMatchd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`RegisterToMatch`.

    The :class:`Registration` that was found is kept under ``<key>_registration``, None where none was made, the
    :class:`Alignment` under ``<key>_alignment``, and the volume as it was under ``<key>_unregistered``
    (:class:`StudyKeys`). A registration beyond the limits and an alignment that warns also become a note of
    ``<key>_file``, where the data has one, so that each output says them.

    Args:
        keys: keys of the moving volumes.
        key_dst: key of the fixed volume.
        kind: see :class:`RegisterToMatch`; ``"none"`` leaves all as it is, ``"auto"`` registers rigidly, but not where
            the two share their voxel grid or their DICOM frame of reference. Defaults to ``"auto"``.
        start: see :class:`RegisterToMatch`.
        seed: see :class:`RegisterToMatch`.
        time_limit: see :class:`RegisterToMatch`.
        limits: what to believe, by the names of :class:`~.plausibility.Limits`. Defaults to None: the region's.
        search: how to search, by the names of :class:`~.settings.SearchSettings`. Defaults to None: its defaults.
        transform: a transform file that is used in place of a registration; see ``read_transform``. Defaults to None.
        accept_registration: take a result that breaks limits, and mark it. Defaults to False.
        grid_key: key of the grid onto which a deformed volume is resampled. Defaults to ``"grid"``; the fixed volume's
            where there is none.
        allow_missing_keys: skip missing keys. Defaults to False.

    Raises:
        ValueError: When ``kind``, ``start``, or a name in ``limits`` or ``search`` is not known.
        InputError: When ``transform`` is given and ``kind`` is not ``"auto"``; and as :class:`RegisterToMatch`.
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
        transform: str | None = None,
        accept_registration: bool = False,
        grid_key: str = StudyKeys.GRID.value,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.key_dst = key_dst
        self.kind = look_up_option(kind, (AUTO, NONE, *RegistrationKind))
        if transform is not None and self.kind != AUTO:
            raise InputError(f"--transform: takes the place of a registration, got --register {kind}. Drop one.")
        self.transform = transform
        self.grid_key = grid_key
        found = _figures(SearchSettings, search)
        kind = RegistrationKind.RIGID if self.kind in (AUTO, NONE) else kind
        self.register = RegisterToMatch(kind, start, seed, time_limit, limits, found, accept_registration)

    def _why_not(self, moving: MetaTensor, fixed: MetaTensor) -> str | None:
        """Why nothing is registered; None where it is."""
        if self.kind == NONE:
            return "--register none"
        if self.kind != AUTO:
            return None
        if moving.shape == fixed.shape and torch.allclose(moving.affine, fixed.affine, atol=1e-3):
            return "same grid"
        frames = [image.meta.get("frame_of_reference") for image in (moving, fixed)]
        return "same frame of reference" if frames[0] is not None and frames[0] == frames[1] else None

    def _found(self, moving: MetaTensor, fixed: MetaTensor) -> tuple[Registration | None, Alignment]:
        if self.transform is not None:
            registration = self.register.from_file(self.transform, moving, fixed)
            alignment = self.register.alignment(self.register(moving, fixed, registration), fixed, FROM_FILE)
            return registration, alignment
        if (reason := self._why_not(moving, fixed)) is not None:
            return None, self.register.alignment(moving, fixed, reason)
        registration = self.register.estimate(moving, fixed)
        warning = (
            f"{registration.warning}: {'; '.join(registration.beyond_limits)}" if registration.beyond_limits else None
        )
        return registration, Alignment("registered", registration.after, warning=warning)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Register each moving volume."""
        d = dict(data)
        fixed = d[self.key_dst]
        for key in self.key_iterator(d):
            name = str(key)
            registration, alignment = self._found(d[key], fixed)
            if registration is not None:
                d[StudyKeys.unregistered(name)] = d[key]
                d[key] = self.register(d[key], fixed, registration, d.get(self.grid_key))
            d[StudyKeys.registration(name)] = registration
            d[StudyKeys.alignment(name)] = alignment
            if alignment.warning:
                logger.warning("%s: %s", name, alignment.warning)
            if alignment.warning and (file := d.get(StudyKeys.file(name))) is not None:
                d[StudyKeys.file(name)] = dataclasses.replace(file, notes=(*file.notes, alignment.warning))
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give each moving volume its own affine back; a deformed one is there as it was."""
        d = dict(data)
        for key in self.key_iterator(d):
            registration = d.get(StudyKeys.registration(str(key)))
            if registration is not None and registration.deformation is not None:
                d[key] = d[StudyKeys.unregistered(str(key))]
            elif registration is not None:
                d[key] = self.register.inverse(d[key])
        return d


def _figures(kind: type[Figures], values: Mapping[str, Any] | None) -> Figures:
    """Make ``kind`` of what a config says; a name that it does not know is refused, with the near miss."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{look_up_option(name, names): value for name, value in (values or {}).items()})


RegisterToMatchD = RegisterToMatchDict = RegisterToMatchd
