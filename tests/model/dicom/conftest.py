"""A folder of several series, for tests of finding and of choosing."""

from __future__ import annotations

import pytest

from tests.model.dicom.dicom_phantoms import write_series


@pytest.fixture
def study(tmp_path):
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesDescription": "scout"}
    kinds = {2: ("MR", {}), 3: ("MR", {}), 4: ("CT", {}), 5: ("CT", scout), 6: ("PT", {})}
    for number, (modality, keywords) in kinds.items():
        uid = f"1.2.840.99{number}.{number}0"
        write_series(
            tmp_path, (6, 5, 3), modality, prefix=f"S{number}_", SeriesInstanceUID=uid, SeriesNumber=number, **keywords
        )
    return tmp_path
