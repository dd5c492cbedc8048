from __future__ import annotations

import pytest
from scripts.transforms.registration.settings import SearchSettings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"coarse_voxel": 0}, "`coarse_voxel` must be positive, got 0", id="voxel"),
        pytest.param({"bins": -3}, "`bins` must be positive, got -3", id="bins"),
        pytest.param({"elastix_samples": 0}, "`elastix_samples` must be positive", id="samples"),
        pytest.param({"fine_levels": []}, r"`fine_levels` must be positive, got \[\]", id="no levels"),
        pytest.param({"coarse_levels": (8, 0)}, r"`coarse_levels` must be positive, got \(8, 0\)", id="levels"),
        pytest.param({"margin": -1}, "`margin` must be 0 mm or more, got -1", id="margin"),
        pytest.param(
            {"ct_range": (5, 5)}, r"`ct_range` must be a lower and a higher value, HU, got \(5, 5\)", id="range"
        ),
        pytest.param({"restarts": ()}, "`restarts` must hold at least one", id="restarts"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        SearchSettings(**change)
