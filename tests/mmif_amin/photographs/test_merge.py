from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scripts.data.photographs import photograph_of
from scripts.data.source import Source
from scripts.data.tasks import PHOTOGRAPHIC_TASKS
from scripts.utils.checks import InputError
from scripts.utils.color import luminance
from scripts.utils.enums import Keep
from skimage.color import rgb2lab
from skimage.data import chelsea

from mmif_amin.fuser import Fuser, load
from mmif_amin.photographs.merge import fuse_photographs

UNORDERED = ["multi-focus", "multi-exposure"]
SCENE = chelsea()[80:140, 100:172]
STACK = [np.rint(SCENE * gain).astype(np.uint8) for gain in (1.0, 0.7, 0.5)] + [SCENE[:, ::-1].copy(), SCENE.copy()]


@pytest.fixture(scope="module")
def fusers() -> dict[str, Fuser]:
    return {name: load(task=name) for name in PHOTOGRAPHIC_TASKS}


@pytest.mark.parametrize("task", UNORDERED)
@pytest.mark.parametrize("count", [2, 3])
def test_the_order_does_not_matter(fusers, task, count):
    """To the last bit, in color; of the two that are mirrored the mean is the same."""
    images = STACK[:count] if count == 3 else STACK[3:]
    results = [fusers[task].fuse_many(list(order)) for order in itertools.permutations(images)]
    assert results[0].shape == SCENE.shape
    assert results[0].dtype == np.uint8
    assert all(np.array_equal(result, results[0]) for result in results)


def test_the_order_does_not_matter_in_tiles(fusers):
    """It is decided for the whole image: here the halves would be ordered differently."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1, 24, 800), np.float32) * 0.5
    a[..., :400] += 0.4
    b[..., 400:] += 0.4
    fuser = fusers["multi-focus"]
    assert np.array_equal(fuser.fuse_stack(a, b), fuser.fuse_stack(b, a))


def test_the_order_matters_for_infrared(fusers):
    a, b = STACK[0][..., 0].copy(), STACK[3]
    fuse = fusers["infrared-visible"]
    assert fuse(a, b).shape == SCENE.shape
    assert fuse(b, a).shape == SCENE.shape[:2]
    with pytest.raises(InputError, match="expected two images, infrared and visible, got 3"):
        fuse.fuse_many([a, b, b])


def test_the_visible_colors_stay(fusers):
    """Hue as in the visible image where that has a color, chroma nearly so: no color cast."""
    infrared = np.rint(np.hypot(*np.indices(SCENE.shape[:2])) * 2).clip(0, 255).astype(np.uint8)
    fused = fusers["infrared-visible"](infrared, SCENE)
    found, expected = rgb2lab(fused), rgb2lab(SCENE)
    chroma, was = (np.hypot(lab[..., 1], lab[..., 2]) for lab in (found, expected))
    hues = [np.arctan2(lab[..., 2], lab[..., 1]) for lab in (found, expected)]
    turned = np.abs((hues[0] - hues[1] + np.pi) % (2 * np.pi) - np.pi)
    colored = (was > 8) & (chroma > 4)
    assert colored.mean() > 0.5
    assert np.degrees(np.median(turned[colored])) < 4
    assert 0.8 < np.median(chroma[colored] / was[colored]) < 1.2


@pytest.mark.parametrize("task", PHOTOGRAPHIC_TASKS)
def test_equal_sources_are_kept(fusers, task):
    fused = fusers[task](SCENE, SCENE)
    assert np.abs(fused.astype(int) - SCENE).max() <= 1


def test_16_bit_tensors_and_floats(fusers):
    fuse = fusers["multi-focus"]
    deep = [image.astype(np.uint16) * 257 for image in STACK[:2]]
    fused = fuse(*deep)
    assert fused.dtype == np.uint16
    assert np.abs(fused / 65535 - fuse(*STACK[:2]) / 255).max() <= 0.51 / 255
    assert fuse(STACK[0], deep[1]).dtype == np.uint16
    tensors = [torch.from_numpy(image[..., 0] / np.float32(255)) for image in STACK[:2]]
    assert fuse(*tensors).dtype == torch.float32


def test_what_photographs_do_not_have(fusers):
    with pytest.raises(InputError, match="--refine 3: is for medical images, got the task multi-focus"):
        load(refine=3, task="multi-focus")
    with pytest.raises(InputError, match="--keep lesions: is for medical images"):
        load(keep=Keep.LESIONS, task="multi-focus")
    with pytest.raises(InputError, match="expected one of infrared-visible"):
        load().fuse_many(STACK[:2])
    with pytest.raises(InputError, match="two or more images, got 1"):
        fusers["multi-focus"].fuse_many(STACK[:1])
    with pytest.raises(InputError, match="Task 'multi-fokus'"):
        load(task="multi-fokus")
    with pytest.raises(ValueError, match="same size"):
        fusers["multi-focus"](STACK[0], STACK[1][:-2])


def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a + b) / 2


def photograph(alpha_columns: int) -> Source:
    alpha = np.where(np.arange(SCENE.shape[1]) < alpha_columns, 0, 255).astype(np.uint8)
    return photograph_of(np.dstack([SCENE, np.broadcast_to(alpha, SCENE.shape[:2])]))


def test_a_transparent_place_shows_the_other_source():
    """Where one source alone is opaque, the result is that source; it is as opaque as the more opaque one."""
    task = PHOTOGRAPHIC_TASKS["multi-focus"]
    dark = photograph_of(STACK[2])
    fused = fuse_photographs(mean, [photograph(30), dark], task)
    assert fused.alpha is None
    assert np.abs(fused.rgb - dark.rgb)[..., :30].max() < 1e-5
    assert np.abs(fused.gray - mean(dark.gray, luminance(SCENE.transpose(2, 0, 1) / 255)))[..., 30:].max() < 1e-5
    both = fuse_photographs(mean, [photograph(30), photograph(10)], task)
    assert (both.alpha[0, 0] == 0).sum() == 10


def test_without_colors():
    fused = fuse_photographs(mean, [photograph_of(x) for x in STACK[:3]], PHOTOGRAPHIC_TASKS["multi-exposure"], False)
    assert fused.rgb is None
