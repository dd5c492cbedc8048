"""The estimate of a registration: methods one after the other, each judged on the whole volumes."""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...utils.checks import InputError
from ...utils.enums import RegistrationKind, RegistrationMethod, RegistrationStart
from .alignment import SCAN_VOXEL, measure_alignment, scan, turned_peak
from .methods import WINSORIZED, job_of
from .plausibility import Limits, broken_limits, gain, refuse, rotation_and_stretch, spread, turn_of
from .result import Registration
from .search import Pair, SearchJob, SearchResult, start_matrices
from .settings import SearchSettings
from .similarity import foreground_samples, overlap, similarity_between
from .volumes import prepare
from .worker import search_in_process

if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor

__all__ = ["Candidate", "Estimator", "best_of", "confirmed", "prepared_pair"]

NEARLY = 0.05  # relative excess over 1 by which a plausible result may score below one that is not
FURTHER = (RegistrationMethod.SCANNED, RegistrationMethod.CROPPED, RegistrationMethod.WINSORIZED)

logger = logging.getLogger("mmif_amin")


class Candidate(NamedTuple):
    """What one method found, and which limits it breaks."""

    found: Registration
    wrong: list[str]


@dataclass(frozen=True)
class Estimator:
    """Finds the transform between two volumes; the arguments are those of ``RegisterToMatch``, settled."""

    kind: RegistrationKind
    start: RegistrationStart
    seed: int
    time_limit: float
    limits: Limits
    search: SearchSettings
    accept: bool

    def estimate(self, moving: MetaTensor, fixed: MetaTensor) -> Registration:
        """Find the transform without applying it."""
        began = time.perf_counter()
        job = self.job(moving, fixed, self.search)
        candidates: list[Candidate] = []
        failure = None
        try:
            candidates.append(self._candidate(RegistrationMethod.WHOLE, job, job, began))
        except InputError as error:
            failure = error
            if self.start != RegistrationStart.BEST or time.perf_counter() - began > self.time_limit:
                raise
        if self.start == RegistrationStart.BEST and self._doubtful(candidates, job):
            scanned = scan(*prepared_pair(moving, fixed, SCAN_VOXEL, self.search), start_matrices(job))
            for method in FURTHER:
                candidates += self._further(method, moving, fixed, job, scanned, began)
        if failure and not candidates:
            raise failure
        body = foreground_samples(job.coarse[0], self.search, self.seed)
        found, wrong = best_of(confirmed(candidates, body, self.limits.spread))
        if len(candidates) > 1 and not wrong:
            wrong = self._elsewhere(moving, fixed, found)
        found = dataclasses.replace(found, beyond_limits=wrong, seconds=time.perf_counter() - began)
        if wrong and not self.accept:
            raise refuse(found, wrong)
        return found

    def job(self, moving: MetaTensor, fixed: MetaTensor, search: SearchSettings) -> SearchJob:
        """The search of whole volumes."""
        return SearchJob(
            coarse=prepared_pair(moving, fixed, search.coarse_voxel, search),
            fine=prepared_pair(moving, fixed, search.fine_voxel, search),
            kind=self.kind,
            start=self.start,
            seed=self.seed,
            least_overlap=self.limits.overlap,
            settings=search,
        )

    def _further(
        self,
        method: RegistrationMethod,
        moving: MetaTensor,
        fixed: MetaTensor,
        job: SearchJob,
        scanned: np.ndarray,
        began: float,
    ) -> list[Candidate]:
        """What a further method found; nothing where it failed, because the first one's result is there."""
        asked = job
        if method is RegistrationMethod.WINSORIZED:
            asked = self.job(moving, fixed, dataclasses.replace(self.search, percentiles=WINSORIZED))
        try:
            return [self._candidate(method, job_of(method, asked, scanned), job, began)]
        except InputError as error:
            logger.info("registration, %s: %s", method, error)
            return []

    def _candidate(self, method: RegistrationMethod, job: SearchJob, judge: SearchJob, began: float) -> Candidate:
        """Search by one method and judge the result on the whole volumes."""
        result, itk_text = search_in_process(job, self.time_limit, began)
        found = self.judged(judge.coarse, result, itk_text, method)
        return Candidate(found, broken_limits(found, self.limits, self.search.distractor))

    def judged(self, pair: Pair, result: SearchResult, itk_text: str, method: str) -> Registration:
        """The figures of a result."""
        from scipy.spatial.transform import Rotation

        similarity = similarity_between(*pair, self.search, self.seed)
        center = pair[0].center(of_mass=True)
        body = foreground_samples(pair[0], self.search, self.seed)
        rotation, _ = rotation_and_stretch(result.best)
        compared = result.best if self.kind == RegistrationKind.AFFINE else result.rigid
        return Registration(
            kind=str(self.kind),
            matrix=result.best.tolist(),
            rotation_deg=Rotation.from_matrix(rotation).as_euler("xyz", degrees=True).tolist(),
            translation_mm=((result.best @ np.r_[center, 1.0])[:3] - center).tolist(),
            before=similarity(np.eye(4)),
            after=similarity(result.best),
            overlap=overlap(*pair, result.best, self.search, self.seed),
            spread_mm=spread(compared, result.restarts, body) if result.restarts else None,
            gain=gain(similarity, result.best, self.search.distractor),
            seconds=0.0,
            itk_text=itk_text,
            method=str(method),
            deformation=result.deformation,
            deformed=None if result.deformation is None else result.deformation.figures(body),
        )

    def _elsewhere(self, moving: MetaTensor, fixed: MetaTensor, found: Registration) -> list[str]:
        """What is wrong with a result of several methods where the two agree better when turned far."""
        peak = turned_peak(*prepared_pair(moving, fixed, SCAN_VOXEL, self.search), np.array(found.matrix))
        if peak is None:
            return []
        angle = turn_of(rotation_and_stretch(peak.matrix)[0])
        return [f"the two agree better turned by {angle:.0f} degrees (metric {peak.value:.4f} there)"]

    @staticmethod
    def _doubtful(candidates: list[Candidate], job: SearchJob) -> bool:
        """Whether there is no plausible result yet, or the metric has a clearly higher peak away from it."""
        if not candidates or candidates[0].wrong:
            return True
        matrix = np.array(candidates[0].found.matrix)
        return measure_alignment(*job.coarse, "registered", matrix).warning is not None


def prepared_pair(moving: MetaTensor, fixed: MetaTensor, voxel: float, search: SearchSettings) -> Pair:
    """Both volumes, fixed first, with voxels of about ``voxel`` mm."""
    return prepare(fixed, "fixed", voxel, search), prepare(moving, "moving", voxel, search)


def confirmed(candidates: list[Candidate], body: np.ndarray, limit: float) -> list[Candidate]:
    """The same candidates; one of several is wrong where no other one ends near it.

    Args:
        candidates: one a method. A single one is returned as it is.
        body: (N, 4), world coordinates in the fixed body, over which distances are averaged.
        limit: mm; the largest mean distance that is near.
    """
    matrices = [np.array(one.found.matrix) for one in candidates]
    judged = []
    for k, one in enumerate(candidates):
        apart = [spread(matrices[k], [other], body) for other in (*matrices[:k], *matrices[k + 1 :])]
        lonely = bool(apart) and min(apart) > limit
        wrong = [f"no other method ends nearer than {min(apart):.1f} mm (limit {limit:g} mm)"] if lonely else []
        judged.append(one._replace(wrong=[*one.wrong, *wrong]))
    return judged


def best_of(candidates: list[Candidate]) -> Candidate:
    """The highest score; a plausible one before one that is not, if it scores nearly as high."""
    best = max(candidates, key=lambda one: one.found.after)
    near = [one for one in candidates if one.found.after - 1 >= (1 - NEARLY) * (best.found.after - 1)]
    return max(near, key=lambda one: (not one.wrong, one.found.after))
