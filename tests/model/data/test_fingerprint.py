from __future__ import annotations

import re
import shutil

from scripts.data.datalist import fusion_datalist
from scripts.data.fingerprint import data_fingerprint


def test_it_tells_data_sets_apart_and_not_where_they_lie(harvard_like, tmp_path):
    moved = tmp_path / "DOE_JANE"
    shutil.copytree(harvard_like, moved)
    words = [data_fingerprint(fusion_datalist(folder)) for folder in (harvard_like, moved)]
    assert words[0] == words[1]
    assert re.fullmatch(r"10 pairs, [0-9a-f]{12}", words[0])
    assert data_fingerprint(fusion_datalist(moved, tasks=["CT-MRI"])).startswith("5 pairs, ")
    (moved / "CT-MRI" / "CT" / "1001.png").write_bytes(b"other")
    assert data_fingerprint(fusion_datalist(moved)) != words[0]
