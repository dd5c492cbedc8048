"""Registration by elastix from given starts, rigid, affine or deformable. Imported only in the worker's process.

``itk.ElastixRegistrationMethod`` loads every pixel type that ITK has, which takes more than 10 s. The generated modules
of the classes that are needed, imported here by their names, take less than 1 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import itk
import numpy as np
from itk.elxParameterObjectPython import elastixParameterObject
from itk.itkElastixRegistrationMethodPython import itkElastixRegistrationMethodIF3IF3

from ...utils.enums import RegistrationKind
from ...utils.geometry import lps_from_ras
from .deformation import Deformation
from .search import Pair, SearchJob

__all__ = ["deform_from", "register_from"]

RAS_TO_LPS = lps_from_ras(np.eye(4))
TRANSFORMS = {RegistrationKind.RIGID: "EulerTransform", RegistrationKind.AFFINE: "AffineTransform"}
PARAMETERS = {
    "Metric": "AdvancedMattesMutualInformation",
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "AutomaticParameterEstimation": "true",
    "AutomaticScalesEstimation": "true",
    "AutomaticTransformInitialization": "false",
    "ImageSampler": "RandomCoordinate",
    "NewSamplesEveryIteration": "true",
    "RequiredRatioOfValidSamples": 0.05,
    "Interpolator": "LinearInterpolator",
    "FixedImagePyramid": "FixedSmoothingImagePyramid",
    "MovingImagePyramid": "MovingSmoothingImagePyramid",
    "ErodeMask": "false",
    "WriteResultImage": "false",
}


def register_from(
    pair: Pair, starts: Sequence[np.ndarray], kind: RegistrationKind, levels: Sequence[float], job: SearchJob
) -> list[np.ndarray | None]:
    """Register a pair from each start; see :class:`~.search.RegisterFrom`.

    Raises:
        RuntimeError: When elastix failed from all starts; its own exception only refers to its log.
    """
    fixed, _ = pair
    mask = _image(fixed.mask.astype(np.uint8), fixed.affine)
    parameters = elastixParameterObject.New()
    values = parameters.GetDefaultParameterMap("rigid")
    _set(values, {**_common_values(job, levels, pair), "Transform": TRANSFORMS[kind]})
    parameters.AddParameterMap(values)
    found: list[np.ndarray | None] = []
    error = None
    for start in starts:
        try:
            matrix = _matrix(_run(pair, mask, start, parameters))
        except RuntimeError as failure:  # too little overlap, no gradient
            error = failure
            found.append(None)
            continue
        found.append(start @ RAS_TO_LPS @ matrix @ RAS_TO_LPS)
    if error is not None and all(matrix is None for matrix in found):
        raise RuntimeError("it failed from every start. Do the fields of view meet, is there structure?") from error
    return found


def deform_from(pair: Pair, start: np.ndarray, job: SearchJob) -> Deformation:
    """Find a deformation; see :class:`~.search.Deform`.

    Cubic B-splines maximize the same mutual information, held back by their bending energy. Reference: Rueckert et al.,
    "Nonrigid registration using free-form deformations", IEEE TMI 1999, doi 10.1109/42.796284.

    Raises:
        RuntimeError: When elastix failed.
    """
    fixed, _ = pair
    settings = job.settings
    levels = (2 * settings.fine_levels[0], settings.fine_levels[0])
    parameters = elastixParameterObject.New()
    values = parameters.GetDefaultParameterMap("bspline")
    given = {
        **_common_values(job, levels, pair),
        "Transform": "BSplineTransform",
        "Registration": "MultiMetricMultiResolutionRegistration",
        "Metric": ["AdvancedMattesMutualInformation", "TransformBendingEnergyPenalty"],
        "Metric0Weight": 1.0,
        "Metric1Weight": settings.stiffness,
        "FinalGridSpacingInPhysicalUnits": settings.knots,
        "GridSpacingSchedule": [2 ** (len(levels) - 1 - i) for i in range(len(levels))],
        "HowToCombineTransforms": "Compose",
    }
    _set(values, given)
    parameters.AddParameterMap(values)
    found = _run(pair, _image(fixed.mask.astype(np.uint8), fixed.affine), start, parameters)
    size = [int(x) for x in found["GridSize"]]
    # elastix counts x fastest; the knots lie along the axes of the fixed image
    coefficients = (
        np.array(found["TransformParameters"], dtype=np.float64).reshape(3, *size[::-1]).transpose(0, 3, 2, 1)
    )
    affine = np.eye(4)
    direction = lps_from_ras(fixed.affine)[:3, :3]
    direction = direction / np.linalg.norm(direction, axis=0)
    affine[:3, :3] = direction * np.array(found["GridSpacing"], dtype=np.float64)
    affine[:3, 3] = np.array(found["GridOrigin"], dtype=np.float64)
    ras = coefficients * np.array([-1.0, -1.0, 1.0])[:, None, None, None]
    deformation = Deformation(ras, lps_from_ras(affine), start)
    return replace(deformation, jacobian=deformation.jacobian_over(fixed))


def _common_values(job: SearchJob, levels: Sequence[float], pair: Pair) -> dict[str, Any]:
    """Parameters of elastix that all kinds share."""
    fixed, moving = pair
    return {
        **PARAMETERS,
        "RandomSeed": job.seed + 1,  # elastix takes 0 for a random seed
        "NumberOfResolutions": len(levels),
        "NumberOfHistogramBins": job.settings.elastix_bins,
        "MaximumNumberOfIterations": job.settings.elastix_iterations,
        "NumberOfSpatialSamples": job.settings.elastix_samples,
        "FixedImagePyramidSchedule": _schedule(levels, fixed.affine),
        "MovingImagePyramidSchedule": _schedule(levels, moving.affine),
    }


def _set(values: Any, given: Mapping[str, Any]) -> None:
    """Write parameters into elastix's map, whose values are lists of text."""
    for name, value in given.items():
        values[name] = [str(v) for v in (value if isinstance(value, list) else [value])]


def _run(pair: Pair, mask: Any, start: np.ndarray, parameters: Any) -> dict[str, Sequence[str]]:
    """Run elastix once and return the parameters of its transform.

    Raises:
        RuntimeError: When it failed.
    """
    fixed, moving = pair
    elastix = itkElastixRegistrationMethodIF3IF3.New()
    elastix.SetFixedImage(_image(fixed.values, fixed.affine))
    elastix.SetMovingImage(_image(moving.values, np.linalg.inv(start) @ moving.affine))
    elastix.SetParameterObject(parameters)
    elastix.SetFixedMask(mask)
    elastix.SetLogToConsole(False)
    elastix.UpdateLargestPossibleRegion()
    return dict(elastix.GetTransformParameterObject().GetParameterMap(0))


def _image(values: np.ndarray, affine: np.ndarray) -> Any:
    """ITK image of an (X, Y, Z) array with a RAS affine without shear."""
    lps = lps_from_ras(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / spacing))
    return image


def _schedule(levels: Sequence[float], affine: np.ndarray) -> list[str]:
    """Smoothing factors of each level and axis, in voxels, so that thick slices are smoothed less than thin ones."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return [str(max(1, round(level / size))) for level in levels for size in spacing]


def _matrix(parameters: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Matrix (4, 4), fixed to moving in LPS, of elastix's last transform."""
    values = [float(x) for x in parameters["TransformParameters"]]
    center = [float(x) for x in parameters["CenterOfRotationPoint"]]
    matrix = np.eye(4)
    if parameters["Transform"][0] == TRANSFORMS[RegistrationKind.RIGID]:
        x, y, z = (_rotation(axis, angle) for axis, angle in enumerate(values[:3]))
        matrix[:3, :3] = z @ x @ y
    else:
        matrix[:3, :3] = np.array(values[:9]).reshape(3, 3)
    matrix[:3, 3] = np.array(values[-3:]) + center - matrix[:3, :3] @ center
    return matrix


def _rotation(axis: int, angle: float) -> np.ndarray:
    """Rotation about a coordinate axis, radians."""
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[second, first], matrix[first, second] = np.sin(angle), -np.sin(angle)
    return matrix
