from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import BUNDLE

CASES = [  # what is run, what it must not load
    pytest.param(
        "from scripts.data import datalist, pictures;"
        "from scripts.utils import color, enums, files, geometry, intensity, metadata;"
        "pictures.read_source('sample_data/t1.nii.gz')",
        ("torch", "monai", "itk", "highdicom", "skimage"),
        id="pictures",
    ),
    pytest.param(
        "from scripts.data.study import Study, read_study;"
        "read_study(Study('sample_data/t1.nii.gz', 'sample_data/ct.nii.gz', task='CT-MRI'))",
        ("torch", "monai", "itk", "highdicom"),
        id="nifti-study",
    ),
    pytest.param("import scripts.dicom.read, scripts.dicom.write", ("torch", "pydicom", "highdicom"), id="dicom"),
]


@pytest.mark.parametrize(("code", "heavy"), CASES)
def test_what_is_not_loaded(code, heavy):
    """Reading two pictures or a NIfTI study starts fast; pydicom is loaded all the same, by nibabel."""
    check = f"{code}\nimport sys\nprint(*sorted(set(sys.modules) & set({heavy})))"
    result = subprocess.run([sys.executable, "-c", check], cwd=BUNDLE, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
