"""ITK's transform files: the text of one, and reading one; a program for the latter.

``python -m scripts.transforms.registration.itk_files FILE`` prints one line of JSON. ITK and HDF5 end a process
for some damaged files, and print to it; here only this process ends. ``itk.transformread`` would load all of ITK, 6 s.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from ...utils.geometry import lps_from_ras
from .deformation import Deformation

__all__ = ["SUFFIXES", "itk_transform_text", "main", "read_itk_matrix"]

CPU_SECONDS = 10  # to read a file; those of people take below one
MEMORY = 2**30  # bytes, beside eight times the file
MATRIX_BYTES = 1024  # sixteen numbers as text are fewer
SUFFIXES = (".tfm", ".txt", ".h5", ".hdf5", ".mat")
RAS_TO_LPS = lps_from_ras(np.eye(4))
PROBES = np.vstack([np.zeros(3), 100.0 * np.eye(3)])  # mm


def read_itk_matrix(path: Path) -> np.ndarray:
    """The matrix (4, 4), RAS, of a linear ITK transform file; it maps points of the fixed image to the moving one.

    Args:
        path: a file ending in one of ``SUFFIXES``. A composite of linear transforms is linear.

    Raises:
        ValueError: When it holds no transform, several, or one that is not linear or not three-dimensional; or a bare
            matrix as text.
        RuntimeError: When ITK cannot read it.
    """
    from itk.itkHDF5TransformIOPython import itkHDF5TransformIOTemplateD
    from itk.itkMatlabTransformIOPython import itkMatlabTransformIOTemplateD
    from itk.itkTransformBasePython import itkTransformD33
    from itk.itkTransformFileReaderPython import itkTransformFileReaderTemplateD
    from itk.itkTxtTransformIOPython import itkTxtTransformIOTemplateD

    if _is_bare_matrix(path):
        raise ValueError(
            "it is a bare matrix as text, such as FSL's, which does not say between which points it goes. Convert it, "
            "for example with `c3d_affine_tool -ref A -src B FILE -fsl2ras -oitk OUT.tfm`"
        )
    formats = {".mat": itkMatlabTransformIOTemplateD, ".h5": itkHDF5TransformIOTemplateD}
    formats[".hdf5"] = formats[".h5"]
    reader = itkTransformFileReaderTemplateD.New()
    reader.SetTransformIO(formats.get(path.suffix.lower(), itkTxtTransformIOTemplateD).New())
    reader.SetFileName(str(path))
    reader.Update()
    found = reader.GetTransformList()
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} transforms, expected one")
    name = found[0].GetNameOfClass()
    try:
        transform = itkTransformD33.cast(found[0])
    except RuntimeError:
        raise ValueError(f"its {name} does not map three dimensions to three") from None
    if not transform.IsLinear():
        raise ValueError(f"its {name} is not linear; expected a rigid or affine transform")
    origin, *ends = (np.array(transform.TransformPoint(point.tolist())) for point in PROBES)
    matrix = np.eye(4)
    matrix[:3, :3] = (np.array(ends) - origin).T / PROBES[1, 0]
    matrix[:3, 3] = origin
    return RAS_TO_LPS @ matrix @ RAS_TO_LPS


def _is_bare_matrix(path: Path) -> bool:
    """Whether a file is text with sixteen numbers and nothing else."""
    with path.open("rb") as file:
        words = file.read(MATRIX_BYTES).split()
    try:
        return len(np.array(words, dtype=float)) == 16
    except ValueError:
        return False


def itk_transform_text(matrix: np.ndarray, deformation: Deformation | None = None) -> str:
    """The text of an ITK transform file (.tfm) that maps points of the fixed image to the moving one, in LPS.

    Args:
        matrix: (4, 4), the linear map in RAS, millimeters.
        deformation: what comes before it, as a B-spline of a composite transform. Defaults to None.
    """
    lps = RAS_TO_LPS @ matrix @ RAS_TO_LPS
    linear = _entry("AffineTransform", [*lps[:3, :3].ravel(), *lps[:3, 3]], np.zeros(3))
    if deformation is None:
        entries = [linear]
    else:
        knots = lps_from_ras(deformation.affine)
        spacing = np.linalg.norm(knots[:3, :3], axis=0)
        signs = np.array([-1.0, -1.0, 1.0])[:, None, None, None]
        values = (deformation.coefficients * signs).transpose(0, 3, 2, 1).ravel()  # x fastest
        fixed = [*deformation.coefficients.shape[1:], *knots[:3, 3], *spacing]
        spline = _entry("BSplineTransform", values, [*fixed, *(knots[:3, :3] / spacing).ravel()])
        entries = ["Transform: CompositeTransform_double_3_3\n", linear, spline]  # the last one is applied first
    parts = [f"#Transform {number}\n{entry}" for number, entry in enumerate(entries)]
    return "".join(["#Insight Transform File V1.0\n", *parts])


def _entry(kind: str, parameters: Any, fixed: Any) -> str:
    values, constants = (" ".join(repr(float(x)) for x in numbers) for numbers in (parameters, fixed))
    return f"Transform: {kind}_double_3_3\nParameters: {values}\nFixedParameters: {constants}\n"


def _limit_this_process(size: int) -> None:
    """End this process where a file of ``size`` bytes takes more than it can need: ITK believes each count in it."""
    try:
        import resource
    except ImportError:  # Windows; there the time limit of who started this is all
        return
    resource.setrlimit(resource.RLIMIT_CPU, (int(process_time()) + CPU_SECONDS,) * 2)
    pages = Path("/proc/self/statm")
    if pages.is_file():
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY + 8 * size,) * 2)


def main() -> None:
    """Read the file that the command line names, print one line of JSON. What ITK itself prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    answer: dict[str, object]
    path = Path(sys.argv[1])
    _limit_this_process(path.stat().st_size)
    try:
        answer = {"matrix": read_itk_matrix(path).tolist()}
    except ValueError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "it declares more numbers than there is memory"}
    except RuntimeError as error:
        last = (str(error).strip().splitlines() or ["RuntimeError"])[-1]
        answer = {"error": f"ITK cannot read it: {last.partition('): ')[2] or last}"}
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
