"""Registration by elastix from given starts, and ITK's writer of the result. Imported only in the worker's process.

``itk.ElastixRegistrationMethod`` and ``itk.transformwrite`` load every pixel type that ITK has, which takes more than
10 s. The generated modules of the classes that are needed, imported here by their names, take less than 1 s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from itk.elxParameterObjectPython import elastixParameterObject
from itk.itkAffineTransformPython import itkAffineTransformD3
from itk.itkElastixRegistrationMethodPython import itkElastixRegistrationMethodIF3IF3
from itk.itkTransformFileWriterPython import itkTransformFileWriterTemplateD
from itk.itkTxtTransformIOPython import itkTxtTransformIOTemplateD

from ...utils.enums import RegistrationKind
from ...utils.geometry import lps_from_ras
from .search import Pair, SearchJob

__all__ = ["itk_transform_text", "register_from"]

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
    fixed, moving = pair
    image = _image(fixed.values, fixed.affine)
    mask = _image(fixed.mask.astype(np.uint8), fixed.affine)
    parameters = elastixParameterObject.New()
    values = parameters.GetDefaultParameterMap("rigid")
    given = {
        "Transform": TRANSFORMS[kind],
        "RandomSeed": job.seed + 1,  # elastix takes 0 for a random seed
        "NumberOfResolutions": len(levels),
        "NumberOfHistogramBins": job.settings.elastix_bins,
        "MaximumNumberOfIterations": job.settings.elastix_iterations,
        "NumberOfSpatialSamples": job.settings.elastix_samples,
    }
    for name, value in {**PARAMETERS, **given}.items():
        values[name] = [str(value)]
    values["FixedImagePyramidSchedule"] = _schedule(levels, fixed.affine)
    values["MovingImagePyramidSchedule"] = _schedule(levels, moving.affine)
    parameters.AddParameterMap(values)
    found: list[np.ndarray | None] = []
    error = None
    for start in starts:
        elastix = itkElastixRegistrationMethodIF3IF3.New()
        elastix.SetFixedImage(image)
        elastix.SetMovingImage(_image(moving.values, np.linalg.inv(start) @ moving.affine))
        elastix.SetParameterObject(parameters)
        elastix.SetFixedMask(mask)
        elastix.SetLogToConsole(False)
        try:
            elastix.UpdateLargestPossibleRegion()
        except RuntimeError as failure:  # too little overlap, no gradient
            error = failure
            found.append(None)
            continue
        matrix = _matrix(dict(elastix.GetTransformParameterObject().GetParameterMap(0)))
        found.append(start @ RAS_TO_LPS @ matrix @ RAS_TO_LPS)
    if error is not None and all(matrix is None for matrix in found):
        raise RuntimeError("it failed from every start. Do the fields of view meet, is there structure?") from error
    return found


def itk_transform_text(matrix: np.ndarray) -> str:
    """The text of an ITK transform file (.tfm) that maps points of the fixed image to the moving one, in LPS.

    Args:
        matrix: (4, 4), the same map in RAS, millimeters.
    """
    lps = RAS_TO_LPS @ matrix @ RAS_TO_LPS
    transform = itkAffineTransformD3.New()
    transform.SetMatrix(itk.matrix_from_array(np.ascontiguousarray(lps[:3, :3])))
    transform.SetTranslation(lps[:3, 3].tolist())
    writer = itkTransformFileWriterTemplateD.New()
    writer.SetTransformIO(itkTxtTransformIOTemplateD.New())  # else it looks for a factory, which loads all of them
    writer.SetInput(transform)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registration.tfm"
        writer.SetFileName(str(path))
        writer.Update()
        return path.read_text(encoding="ascii")


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
