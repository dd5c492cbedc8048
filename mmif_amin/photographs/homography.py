"""Alignment of one photograph with another by a homography: features, RANSAC, and what makes one implausible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scripts.data.source import Source
from ..scripts.utils.checks import InputError
from ..scripts.utils.color import luminance
from .shift import local_edges

__all__ = ["Homography", "align", "find_homography"]

LONGEST_SIDE = 1600  # pixels; features are looked for in images reduced to it
RATIO = 0.8  # of the best to the second-best distance of descriptors
TOLERANCE = 2.0  # pixels that an inlier may be off, in the reduced image
TRIALS = 5000
FEWEST_INLIERS = 16
SMALLEST_SHARE = 0.2  # of the matches that must be inliers
SMALLEST_SPREAD = 0.5  # of each side of the reference, over which the inliers must be spread
AREA = (0.25, 4.0)  # of the moved image over the unmoved, and
COVERED = 0.999  # share of existing pixels from which a pixel is made
SMALLEST_OVERLAP = 0.5  # of the reference that it must cover


@dataclass(frozen=True)
class Homography:
    """How one photograph lies on another.

    Args:
        matrix: (3, 3); takes (x, y, 1) of the reference to that of the moved photograph, pixels.
        inliers: matched features that agree with it.
        matches: all matched features.
        residual: median distance of the inliers, pixels of the moved photograph.
        overlap: fraction of the reference that the moved photograph covers.
    """

    matrix: np.ndarray
    inliers: int
    matches: int
    residual: float
    overlap: float

    def __str__(self) -> str:
        """What was done, in one line."""
        return (
            f"registered by a homography: {self.inliers} of {self.matches} features agree, off by "
            f"{self.residual:.1f} pixels; it covers {self.overlap:.0%}, the rest shows one source alone"
        )


def find_homography(reference: np.ndarray, moving: np.ndarray) -> Homography:
    """Find the homography between two gray photographs, of one or of two sizes.

    Args:
        reference: (H, W) in [0, 1].
        moving: (h, w) in [0, 1].

    Raises:
        InputError: When scikit-image is not installed, too few features agree, or the homography is implausible.

    Reference: Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004, doi
    10.1023/B:VISI.0000029664.99615.94; Fischler and Bolles, "Random sample consensus", CACM 1981, doi
    10.1145/358669.358692.
    """
    try:
        from skimage.feature import match_descriptors
        from skimage.measure import ransac
        from skimage.transform import ProjectiveTransform
    except ImportError as error:
        raise InputError(
            "--register homography needs scikit-image, which is not installed: pip install 'mmif-amin[photographs]'."
        ) from error
    found = [_features(image) for image in (reference, moving)]
    if min(len(points) for points, _, _ in found) < FEWEST_INLIERS:
        raise _refusal("too few features")
    (points, words, scale), (moving_points, moving_words, moving_scale) = found
    matches = match_descriptors(words, moving_words, max_ratio=RATIO, cross_check=True)
    if len(matches) < FEWEST_INLIERS:
        raise _refusal(f"{len(matches)} features that match")
    pair = (points[matches[:, 0]], moving_points[matches[:, 1]])
    best, agree = ransac(pair, ProjectiveTransform, 4, TOLERANCE, max_trials=TRIALS, rng=0)
    count = 0 if agree is None else int(agree.sum())
    if count < max(FEWEST_INLIERS, SMALLEST_SHARE * len(matches)):
        raise _refusal(f"{count} of {len(matches)} matched features that agree")
    if (np.ptp(pair[0][agree] * scale, axis=0) < SMALLEST_SPREAD * np.array(reference.shape[::-1])).any():
        raise _refusal("features that agree in a part of the image alone")
    residual = float(np.median(best.residuals(pair[0][agree], pair[1][agree]))) * float(moving_scale.max())
    matrix = _scaling(moving_scale) @ best.params @ np.linalg.inv(_scaling(scale))
    return Homography(
        matrix / matrix[2, 2], count, len(matches), residual, _overlap(matrix, reference.shape, moving.shape)
    )


def align(moving: Source, homography: Homography, shape: tuple[int, ...]) -> Source:
    """Move a photograph onto the reference; where it has no pixel it is transparent.

    Args:
        moving: the photograph.
        homography: how it lies on the reference.
        shape: (H, W) of the reference.
    """
    from skimage.transform import ProjectiveTransform, warp

    transform = ProjectiveTransform(homography.matrix)

    def moved(planes: np.ndarray, order: int) -> np.ndarray:
        return np.stack(
            [warp(plane, transform, output_shape=shape, order=order, clip=True) for plane in planes]
        ).astype(np.float32)

    covered = moved(np.ones_like(moving.gray), 1) > COVERED
    alpha = covered.astype(np.float32) if moving.alpha is None else covered * moved(moving.alpha, 1)
    if moving.rgb is None:
        return Source(moved(moving.gray, 3).clip(0, 1), alpha=alpha, bits=moving.bits)
    rgb = moved(moving.rgb, 3).clip(0, 1)
    return Source(luminance(rgb), rgb, alpha=alpha, bits=moving.bits)


def _features(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (x, y) and descriptors of an image, and the factors by which it was reduced along x and y."""
    from skimage.feature import SIFT
    from skimage.transform import resize

    reduction = max(1.0, max(image.shape) / LONGEST_SIDE)
    size = [round(side / reduction) for side in image.shape]
    reduced = resize(image, size, order=1, anti_aliasing=True) if reduction > 1 else image
    scale = np.array(image.shape[::-1]) / reduced.shape[::-1]
    edges = local_edges(reduced)
    detector = SIFT(upsampling=1)
    try:
        detector.detect_and_extract(edges / max(float(edges.max()), 1e-6))
    except RuntimeError:  # scikit-image raises it where there is no feature
        return np.empty((0, 2)), np.empty((0, 128)), scale
    return detector.keypoints[:, ::-1], detector.descriptors, scale


def _scaling(scale: np.ndarray) -> np.ndarray:
    """From the reduced image's pixels to those of the whole; centers of pixels are whole numbers."""
    x, y = scale
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _overlap(matrix: np.ndarray, reference: tuple[int, ...], moving: tuple[int, ...]) -> float:
    """Fraction of the reference that is covered.

    Raises:
        InputError: When the homography turns the image over, bends it or resizes it too much, or covers too little.
    """
    rows, columns = (np.linspace(0, side - 1, 65) for side in reference)
    grid = np.stack([*np.meshgrid(columns, rows), np.ones((65, 65))], axis=-1) @ matrix.T
    depth = grid[..., 2]
    if depth.min() * depth.max() <= 0:
        raise _refusal("one that folds the image")
    x, y = grid[..., 0] / depth, grid[..., 1] / depth
    jacobian = np.gradient(x, axis=1) * np.gradient(y, axis=0) - np.gradient(x, axis=0) * np.gradient(y, axis=1)
    growth = jacobian * 64**2 / ((reference[0] - 1) * (reference[1] - 1))
    expected = moving[0] * moving[1] / (reference[0] * reference[1])
    if growth.min() < AREA[0] * expected or growth.max() > AREA[1] * expected:
        raise _refusal("one that distorts the image beyond any camera's")
    overlap = float(((x >= 0) & (x <= moving[1] - 1) & (y >= 0) & (y <= moving[0] - 1)).mean())
    if overlap < SMALLEST_OVERLAP:
        raise _refusal(f"one by which {overlap:.0%} of the images overlap")
    return overlap


def _refusal(found: str) -> InputError:
    return InputError(
        f"--register homography: expected one that aligns both photographs, found {found}. Align them by hand, then "
        "fuse with --register none."
    )
