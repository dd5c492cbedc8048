from __future__ import annotations

import itk
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripts.transforms.registration.deformation import Deformation
from scripts.transforms.registration.itk_files import itk_transform_text, read_itk_matrix

FLIP = np.array([-1.0, -1.0, 1.0])


def rigid() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [10, -20, 5], degrees=True).as_matrix()
    matrix[:3, 3] = [3, -4, 5]
    return matrix


def test_the_text_is_read_by_itk(tmp_path):
    (tmp_path / "registration.tfm").write_text(itk_transform_text(rigid()))
    transform = itk.transformread(str(tmp_path / "registration.tfm"))[0]
    ras = np.array([12.0, -30.0, 44.0])
    there = np.array(transform.TransformPoint((ras * FLIP).tolist())) * FLIP
    assert np.allclose(there, rigid()[:3, :3] @ ras + rigid()[:3, 3], atol=1e-9)


def test_a_deformation_is_read_by_itk(tmp_path):
    """ITK's own B-spline gives the same points as ours, also on an oblique grid."""
    rng = np.random.default_rng(0)
    knots = np.eye(4)
    knots[:3, :3] = Rotation.from_euler("xyz", [5, 8, -20], degrees=True).as_matrix() * [20.0, 25.0, 30.0]
    knots[:3, 3] = [-80, -90, -100]
    deformation = Deformation(rng.normal(0, 4, (3, 8, 9, 7)), knots, rigid())
    (tmp_path / "registration.tfm").write_text(itk_transform_text(rigid(), deformation))
    transform = itk.transformread(str(tmp_path / "registration.tfm"))[0]
    points = np.c_[rng.uniform(2, 4, (20, 3)), np.ones(20)] @ knots.T
    there = [np.array(transform.TransformPoint((point[:3] * FLIP).tolist())) * FLIP for point in points]
    assert np.allclose(there, deformation.map(points)[:, :3], atol=1e-6)
    with pytest.raises(ValueError, match="CompositeTransform is not linear"):
        read_itk_matrix(tmp_path / "registration.tfm")


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".h5", ".mat"])
def test_each_format(tmp_path, suffix):
    transform = itk.Euler3DTransform[itk.D].New()
    transform.SetCenter([10.0, 20.0, 30.0])
    transform.SetRotation(0.1, -0.2, 0.3)
    transform.SetTranslation([4.0, 5.0, -6.0])
    itk.transformwrite([transform], str(tmp_path / f"t{suffix}"))
    matrix = read_itk_matrix(tmp_path / f"t{suffix}")
    point = np.array([7.0, -8.0, 9.0])
    there = np.array(transform.TransformPoint((point * FLIP).tolist())) * FLIP
    assert np.allclose((matrix @ np.r_[point, 1])[:3], there, atol=1e-9)


def test_two_transforms(tmp_path):
    text = itk_transform_text(rigid())
    (tmp_path / "two.tfm").write_text(text + text.split("V1.0\n")[1].replace("#Transform 0", "#Transform 1"))
    with pytest.raises(ValueError, match="it holds 2 transforms, expected one"):
        read_itk_matrix(tmp_path / "two.tfm")
