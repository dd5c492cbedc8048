from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mmif_amin.reports.study_preview import preview_picture

AFFINES = [
    pytest.param(np.diag([1.0, 1.0, 2.0, 1.0]), 19, id="first axis to the right"),
    pytest.param(np.diag([-1.0, 1.0, 2.0, 1.0]), 0, id="first axis to the left"),
]


@pytest.mark.parametrize(("affine", "rightmost"), AFFINES)
def test_the_patients_right_is_on_the_left_and_voxels_are_square(affine, rightmost):
    levels = np.zeros((20, 10, 6), np.uint8)
    levels[rightmost] = 255
    data = re.search('base64,([^"]*)"', preview_picture(levels, affine))[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert picture.shape == (10 + 4 + 12 + 4 + 12, 20)  # axial, coronal, sagittal, and two gaps
    assert (picture[:10, 0] == 255).all()
    assert (picture[:10, 5:] == 0).all()
