"""The search for the best transform: starts, restarts, a coarse and a fine step.

It does not know elastix: a function that registers from given starts is an argument, which :mod:`worker` fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ...utils.enums import RegistrationKind, RegistrationStart
from .deformation import Deformation
from .settings import SearchSettings
from .similarity import overlap, similarity_between
from .volumes import PreparedVolume

__all__ = ["Deform", "RegisterFrom", "SearchJob", "SearchResult", "search", "shift", "start_matrices", "turned_about"]

Pair = tuple[PreparedVolume, PreparedVolume]  # fixed, moving


class RegisterFrom(Protocol):
    """A function that registers a pair from each of several starts."""

    def __call__(
        self, pair: Pair, starts: Sequence[np.ndarray], kind: RegistrationKind, levels: Sequence[float], job: SearchJob
    ) -> list[np.ndarray | None]:
        """Return for each start the matrix (4, 4), fixed to moving, RAS; None where it failed.

        Args:
            pair: the fixed and the moving volume.
            starts: matrices (4, 4), fixed to moving, RAS.
            kind: of the transform.
            levels: smoothing of the image pyramid, mm, coarse to fine.
            job: seed and settings.

        Raises:
            RuntimeError: When it failed from all starts.
        """


@dataclass(frozen=True)
class SearchJob:
    """What is to be registered, and how.

    Args:
        coarse: the fixed and the moving volume for the search from each start.
        fine: the same for the last step.
        kind: of the transform. Defaults to rigid.
        start: where to start. Defaults to the best of all.
        seed: of the samples. Defaults to 0.
        least_overlap: part of the smaller foreground that must lie in the other one for the files' geometry to be a
            start. Defaults to 0.5.
        settings: of the search. Defaults to ``SearchSettings()``.
        starts: matrices (4, 4) to start from, in place of those that ``start`` stands for. Defaults to none.
    """

    coarse: Pair
    fine: Pair
    kind: RegistrationKind = RegistrationKind.RIGID
    start: RegistrationStart = RegistrationStart.BEST
    seed: int = 0
    least_overlap: float = 0.5
    settings: SearchSettings = field(default_factory=SearchSettings)
    starts: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """What a search found; matrices (4, 4), fixed to moving, RAS.

    Args:
        rigid: the best rigid transform.
        best: the best transform of the kind that was asked for.
        restarts: for each restart where it ended; None where it failed. They are of the kind of ``best``, if that is
            affine, else rigid.
        deformation: the deformation that follows; None unless asked for. Defaults to None.
    """

    rigid: np.ndarray
    best: np.ndarray
    restarts: list[np.ndarray | None]
    deformation: Deformation | None = None


class Deform(Protocol):
    """A function that finds a deformation."""

    def __call__(self, pair: Pair, start: np.ndarray, job: SearchJob) -> Deformation:
        """Return the deformation.

        Args:
            pair: the fixed and the moving volume.
            start: (4, 4), fixed to moving, RAS: the rigid transform that it refines.
            job: seed and settings.

        Raises:
            RuntimeError: When it failed.
        """


def search(job: SearchJob, register: RegisterFrom, deform: Deform | None = None) -> SearchResult:
    """Search the transform that aligns two volumes.

    The coarse step runs from each start; from its best result two further searches start some degrees and millimeters
    away. The best of all these is refined in the fine step, rigidly and, if asked for, then affinely; then the restarts
    go on affinely too, so that results of one kind are compared. A deformation comes last.

    Args:
        job: the volumes and the settings.
        register: see :class:`RegisterFrom`.
        deform: see :class:`Deform`. Defaults to None: for kinds that do not need it.

    Raises:
        RuntimeError: When ``register`` failed from all starts of one step.
    """
    fixed, moving = job.coarse
    settings = job.settings
    similarity = similarity_between(fixed, moving, settings, job.seed)

    def run(pair: Pair, levels: Sequence[float], starts: list[np.ndarray], kind: RegistrationKind) -> list:
        return register(pair, starts, kind, levels, job)

    rigid = RegistrationKind.RIGID
    first = max(_succeeded(run(job.coarse, settings.coarse_levels, start_matrices(job), rigid)), key=similarity)
    center = fixed.center(of_mass=True)
    away = [first @ turned_about(center, *restart) for restart in settings.restarts]
    restarts = run(job.coarse, settings.coarse_levels, away, rigid)
    best = max([first, *_succeeded(restarts)], key=similarity)
    (best,) = _succeeded(run(job.fine, settings.fine_levels, [best], rigid))
    found = SearchResult(rigid=best, best=best, restarts=restarts)
    if job.kind == RegistrationKind.AFFINE:
        (best,) = _succeeded(run(job.fine, settings.fine_levels, [best], job.kind))
        left = _succeeded(restarts)
        again = run(job.coarse, settings.fine_levels, left, job.kind) if left else []
        failed = [None] * (len(restarts) - len(again))
        return replace(found, best=best, restarts=[*again, *failed])
    if deform is not None and job.kind == RegistrationKind.DEFORMABLE:
        return replace(found, deformation=deform(job.coarse, best, job))
    return found


def start_matrices(job: SearchJob) -> list[np.ndarray]:
    """The starts of the first step, (4, 4), fixed to moving, RAS.

    ``"best"`` tries the centers of mass, and the files' own geometry where the bodies overlap in it, else the centers
    of the fields of view.
    """
    if job.starts:
        return list(job.starts)
    fixed, moving = job.coarse
    starts = {
        RegistrationStart.GEOMETRY: np.eye(4),
        RegistrationStart.CENTER_OF_MASS: shift(moving.center(of_mass=True) - fixed.center(of_mass=True)),
        RegistrationStart.CENTER: shift(moving.center(of_mass=False) - fixed.center(of_mass=False)),
    }
    if job.start != RegistrationStart.BEST:
        return [starts[job.start]]
    near = overlap(fixed, moving, np.eye(4), job.settings, job.seed) >= job.least_overlap
    second = RegistrationStart.GEOMETRY if near else RegistrationStart.CENTER
    return [starts[RegistrationStart.CENTER_OF_MASS], starts[second]]


def shift(offset: np.ndarray) -> np.ndarray:
    """The matrix (4, 4) of a translation (3,)."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def turned_about(
    center: np.ndarray, degrees: Sequence[float] | np.ndarray, millimeters: Sequence[float] | np.ndarray
) -> np.ndarray:
    """The matrix (4, 4) of a rotation about a center, then a shift."""
    from scipy.spatial.transform import Rotation

    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return shift(center + np.array(millimeters)) @ turn @ shift(-center)


def _succeeded(matrices: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The results of the runs that did not fail."""
    return [matrix for matrix in matrices if matrix is not None]
