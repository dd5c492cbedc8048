"""A transform file takes no more than it can need, whatever it declares."""

from __future__ import annotations

import resource
import struct
import sys

import pytest
from scripts.transforms.registration.transform_file import read_transform
from scripts.utils.checks import InputError

NAME = b"AffineTransform_double_3_3\0"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits the memory of a process so")
def test_a_small_file_that_declares_many_numbers_is_refused(tmp_path):
    """A MATLAB 4 file of 140 bytes that declares 4 GB, which ITK would take and fill."""
    path = tmp_path / "t.mat"
    path.write_bytes(struct.pack("<5i", 0, 2**29, 1, 0, len(NAME)) + NAME + struct.pack("<12d", *range(12)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of other tests' children
    with pytest.raises(InputError, match=r"t\.mat: (expected one rigid or affine|ITK ended)"):
        read_transform(path, (None, None))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 2**20)  # kB
