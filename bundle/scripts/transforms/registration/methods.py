"""The ways to search for a transform: whole volumes, a scanned start, cropped to what both show, winsorized.

The first way is enough for most pairs. The others are tried where its result breaks a limit, or where the metric has a
higher peak elsewhere; the best score on the whole volumes wins, if a second way ends at the same place: with more ways
to search there are more ways to a wrong peak. PETPrep's registration also scores several methods and keeps the
uncropped result where that one is better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...utils.enums import RegistrationMethod
from .search import Pair, SearchJob

__all__ = ["WINSORIZED", "job_of"]

WINSORIZED = (0.5, 99.5)  # percentiles
MARGIN = 20.0  # mm that a cropped volume keeps around what the other one shows


def job_of(method: RegistrationMethod, job: SearchJob, scanned: np.ndarray) -> SearchJob:
    """The search of one further method.

    Args:
        method: which one; volumes are winsorized when they are prepared.
        job: the search of whole volumes.
        scanned: (4, 4), fixed to moving, RAS: the start that a scan found.
    """
    job = replace(job, starts=(scanned,))
    if method is not RegistrationMethod.CROPPED:
        return job
    return replace(job, coarse=_common(job.coarse, scanned), fine=_common(job.fine, scanned))


def _common(pair: Pair, matrix: np.ndarray) -> Pair:
    """Both volumes, cropped to what may lie in the other one's field of view."""
    fixed, moving = pair
    return fixed.within(moving, matrix, MARGIN), moving.within(fixed, np.linalg.inv(matrix), MARGIN)
