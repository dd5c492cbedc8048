"""The fusion metrics written a second time, plainly, in NumPy and SciPy on single float64 images 0..255.

Written from the formulas in the papers that the metrics' docstrings cite, not from the bundle's code: loops over
scales, 2-D convolutions, masks. ``test_reference_values.py`` pins both to the field's evaluator.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity


def entropy(f):
    p = np.bincount(f.astype(int).ravel(), minlength=256) / f.size
    p = p[p > 0]
    return -(p * np.log2(p)).sum()


def shared_information(x, y):
    joint = np.histogram2d(x.ravel(), y.ravel(), bins=256, range=((-0.5, 255.5), (-0.5, 255.5)))[0] / x.size
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return (joint[there] * np.log(joint[there] / independent[there])).sum()


def mutual_information(f, a, b):
    return shared_information(f, a) + shared_information(f, b)


def feature_mutual_information(f, a, b):
    strengths = [np.round(np.hypot(*np.gradient(x))).clip(max=255) for x in (f, a, b)]
    entropies = [entropy(g) * np.log(2) for g in strengths]
    pairs = zip(strengths[1:], entropies[1:], strict=True)
    return sum(shared_information(strengths[0], g) / (entropies[0] + h) for g, h in pairs)


def spatial_frequency(f):
    return np.sqrt((np.diff(f, axis=0) ** 2).mean() + (np.diff(f, axis=1) ** 2).mean())


def average_gradient(f):
    gy, gx = np.gradient(f)
    return np.sqrt((gx**2 + gy**2) / 2).mean()


def correlation(x, y):
    return np.corrcoef(x.ravel(), y.ravel())[0, 1]


def scd(f, a, b):
    return correlation(f - b, a) + correlation(f - a, b)


def psnr(f, a, b):
    mse = (((f - a) ** 2).mean() + ((f - b) ** 2).mean()) / 2
    return 10 * np.log10(f.max() ** 2 / mse)


def ssim(f, a, b, data_range):
    return sum(structural_similarity(f, source, data_range=data_range) for source in (a, b))


def ms_ssim(f, source):
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    weights = weights[: sum(min(f.shape) // 2**k >= 11 for k in range(5))]
    axis = np.arange(11) - 5
    window = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2, result = 2.55**2, 7.65**2, 1.0
    for k, weight in enumerate(weights / weights.sum()):
        mean_f, mean = (convolve2d(x, window, mode="valid") for x in (f, source))
        var_f, var, cov = (
            convolve2d(x * y, window, mode="valid") - m
            for x, y, m in ((f, f, mean_f**2), (source, source, mean**2), (f, source, mean_f * mean))
        )
        value = (2 * cov + c2) / (var_f + var + c2)
        if k == len(weights) - 1:
            value = value * (2 * mean_f * mean + c1) / (mean_f**2 + mean**2 + c1)
        result *= max(value.mean(), 0) ** weight
        h, w = (s // 2 for s in f.shape)
        f, source = (x[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3)) for x in (f, source))
    return result


def vif_by_source(f, sources):
    """VIF of each source, and VIFlocal."""
    images = [f, *sources]
    kept, total, local = np.zeros(2), np.zeros(2), []
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        axis = np.arange(size) - (size - 1) / 2
        window = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * (size / 5) ** 2))
        window /= window.sum()

        def smooth(x, window=window):
            return convolve2d(x, window, mode="valid")

        if scale > 1:
            images = [smooth(x)[::2, ::2] for x in images]
        mean_f = smooth(images[0])
        var_f = np.maximum(smooth(images[0] ** 2) - mean_f**2, 0)
        ratios, structured = [], True
        for k, source in enumerate(images[1:]):
            mean = smooth(source)
            var = np.maximum(smooth(source**2) - mean**2, 0)
            cov = smooth(source * images[0]) - mean * mean_f
            good = (var >= 1e-10) & (var_f >= 1e-10) & (cov > 0)
            g = np.where(good, cov / (var + 1e-10), 0)
            noise = np.maximum(np.where(good, var_f - g * cov, var_f), 1e-10)
            info = np.log(1 + g**2 * var / (noise + 2))
            full = np.log(1 + var / 2)
            kept[k] += info.sum()
            total[k] += full.sum()
            ratios.append(info / np.maximum(full, 1e-10))
            structured = structured & (var > 20)
        if structured.any():
            local.append(np.minimum(*ratios)[structured].mean())
    return kept / total, np.mean(local)


def qabf_by_source(f, sources):
    """Qabf of each source and together."""
    kernel_x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])

    def edges(x):
        gx, gy = convolve2d(x, kernel_x, mode="same"), convolve2d(x, kernel_x.T[::-1], mode="same")
        with np.errstate(divide="ignore", invalid="ignore"):
            angle = np.where(gx == 0, np.pi / 2, np.arctan(gy / gx))
        return np.hypot(gx, gy), angle

    g_f, a_f = edges(f)
    kept, total = [], []
    for source in sources:
        g, a = edges(source)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(g > g_f, g_f / g, np.where(g == g_f, g_f, g / g_f))
        aligned = 1 - np.abs(a - a_f) / (np.pi / 2)
        q = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (aligned - 0.8)))
        kept.append((q * g).sum())
        total.append(g.sum())
    return np.array(kept) / np.array(total), sum(kept) / sum(total)


def exposure_ssim(f, a, b):
    """MEF-SSIM, patch by patch."""
    result = 1.0
    for weight in (0.0710, 0.4530, 0.4760):
        values = []
        for top in range(f.shape[0] - 7):
            for left in range(f.shape[1] - 7):
                y, *x = (image[top : top + 8, left : left + 8].ravel() for image in (f, a, b))
                values.append(patch_similarity(y - y.mean(), [each - each.mean() for each in x]))
        result *= max(np.mean(values), 0) ** weight
        h, w = (s // 2 for s in f.shape)
        f, a, b = (image[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3)) for image in (f, a, b))
    return result


def patch_similarity(y, patches):
    contrasts = [np.linalg.norm(patch) for patch in patches]
    wanted = np.zeros_like(y)
    if max(contrasts) > 0:
        alike = min(np.linalg.norm(sum(patches)) / sum(contrasts), 1)
        power = min(np.tan(np.pi / 2 * alike), 10)
        structures = [patch / c if c > 0 else patch for patch, c in zip(patches, contrasts, strict=True)]
        direction = sum((c / max(contrasts)) ** power * s for c, s in zip(contrasts, structures, strict=True))
        length = np.linalg.norm(direction)
        wanted = max(contrasts) * direction / length if length > 1e-6 else wanted
    return (2 * np.mean(wanted * y) + 7.65**2) / (max(contrasts) ** 2 / y.size + np.mean(y**2) + 7.65**2)


def all_metrics(f, a, b):
    vif, vif_local = vif_by_source(f, (a, b))
    by_source, qabf = qabf_by_source(f, (a, b))
    black = (a == 0) & (b == 0)
    return {
        "EN": entropy(f),
        "SD": f.std(),
        "SF": spatial_frequency(f),
        "AG": average_gradient(f),
        "MI": mutual_information(f, a, b),
        "SCD": scd(f, a, b),
        "VIF": vif.sum(),
        "Qabf": qabf,
        "ssim": ssim(f, a, b, 255),
        "ssim_legacy": ssim(f, a, b, 2),
        "MS-SSIM": ms_ssim(f, a) + ms_ssim(f, b),
        "CC": (correlation(f, a) + correlation(f, b)) / 2,
        "PSNR": psnr(f, a, b),
        "FMI": feature_mutual_information(f, a, b),
        "VIFmin": vif.min(),
        "Qabf_min": by_source.min(),
        "VIFlocal": vif_local,
        "background": (black & (f > 0)).sum() / max(black.sum(), 1),
    }
