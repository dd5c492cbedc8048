"""Runs elastix in a process of its own: it can be stopped at a time limit, and a crash does not take all along.

Not imported: :mod:`registration` starts it as a script, writes the name of a job file (``.npz``) on its standard input,
one a line, and reads one line of JSON for each. It ends when its standard input does.

``itk.ElastixRegistrationMethod`` would load every pixel type that ITK has, 10 to 16 seconds; the generated modules of
the classes that are needed, named here, take 3.
"""

from __future__ import annotations

import json
import os
import sys

import itk
import numpy as np
from itk.elxParameterObjectPython import elastixParameterObject
from itk.itkElastixRegistrationMethodPython import itkElastixRegistrationMethodIF3IF3

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PARAMETERS = {
    "Metric": "AdvancedMattesMutualInformation",
    "NumberOfHistogramBins": 32,
    "MaximumNumberOfIterations": 300,
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "AutomaticParameterEstimation": "true",
    "AutomaticScalesEstimation": "true",
    "AutomaticTransformInitialization": "false",
    "ImageSampler": "RandomCoordinate",
    "NumberOfSpatialSamples": 4096,
    "NewSamplesEveryIteration": "true",
    "RequiredRatioOfValidSamples": 0.05,
    "Interpolator": "LinearInterpolator",
    "FixedImagePyramid": "FixedSmoothingImagePyramid",
    "MovingImagePyramid": "MovingSmoothingImagePyramid",
    "ErodeMask": "false",
    "WriteResultImage": "false",
}


def _image(values: np.ndarray, affine: np.ndarray) -> object:
    """ITK image of an (X, Y, Z) array with a RAS affine without shear."""
    lps = RAS_TO_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / spacing))
    return image


def _schedule(levels: np.ndarray, affine: np.ndarray) -> list[str]:
    """Smoothing factors of each level and axis, in voxels, so that thick slices are smoothed less than thin ones."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return [str(max(1, round(level / size))) for level in levels for size in spacing]


def _matrix(parameters: dict) -> np.ndarray:
    """Matrix (4, 4), fixed to moving in LPS, of elastix's last transform."""
    values = [float(x) for x in parameters["TransformParameters"]]
    center = [float(x) for x in parameters["CenterOfRotationPoint"]]
    matrix = np.eye(4)
    if parameters["Transform"][0] == "EulerTransform":
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


def register(job: dict[str, np.ndarray]) -> list[list[list[float]] | None]:
    """Register from each start.

    Args:
        job: ``fixed``, ``fixed_affine``, ``mask`` (of the fixed image), ``moving``, ``moving_affine``, ``starts``
            (N, 4, 4), fixed to moving in RAS, ``levels`` (smoothing of the pyramid, mm, coarse to fine), ``kind``
            (``EulerTransform`` or ``AffineTransform``) and ``seed``.

    Returns:
        For each start the matrix (4, 4), fixed to moving in RAS, as lists; None where elastix came to no end.

    Raises:
        RuntimeError: When it came to an end from no start; elastix itself only refers to its log.
    """
    fixed = _image(job["fixed"], job["fixed_affine"])
    mask = _image(job["mask"].astype(np.uint8), job["fixed_affine"])
    parameters = elastixParameterObject.New()
    values = parameters.GetDefaultParameterMap("rigid")
    given = {"Transform": job["kind"], "RandomSeed": job["seed"], "NumberOfResolutions": len(job["levels"])}
    for name, value in {**PARAMETERS, **given}.items():
        values[name] = [str(value)]
    values["FixedImagePyramidSchedule"] = _schedule(job["levels"], job["fixed_affine"])
    values["MovingImagePyramidSchedule"] = _schedule(job["levels"], job["moving_affine"])
    parameters.AddParameterMap(values)
    found: list[list[list[float]] | None] = []
    error = None
    for start in job["starts"]:
        moving = _image(job["moving"], np.linalg.inv(start) @ job["moving_affine"])
        elastix = itkElastixRegistrationMethodIF3IF3.New()
        elastix.SetFixedImage(fixed)
        elastix.SetMovingImage(moving)
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
        found.append((start @ RAS_TO_LPS @ matrix @ RAS_TO_LPS).tolist())
    if error is not None and not any(found):
        raise RuntimeError("no start came to an end. Do the fields of view meet, is there structure?") from error
    return found


def main() -> None:
    """Answer jobs until standard input ends; what ITK itself prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        try:
            with np.load(line.strip()) as job:
                answer: dict[str, object] = {"matrices": register(dict(job))}
        except Exception as error:  # elastix raises RuntimeError for all that goes wrong
            answer = {"error": str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
