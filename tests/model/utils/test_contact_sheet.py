from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scripts.utils.contact_sheet import write_contact_sheet

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def test_contact_sheet(tmp_path):
    path = write_contact_sheet(
        tmp_path / "s.png", [[LEVELS[None] / 255, RGB.transpose(2, 0, 1) / 255]], ["a", "b"], ["x"]
    )
    assert np.array_equal(np.asarray(Image.open(path))[16:36, 28:52], RGB)
    with pytest.raises(ValueError, match="2 pictures"):
        write_contact_sheet(path, [[LEVELS[None]]], ["a", "b"], ["x"])
