"""The terms of the fusion losses: one term, or one family that shares its computation, a file.

A file declares each of its terms as a :class:`~.base.LossTerm`: name, anchor (where its weight starts) and function.
:mod:`.table` lists the declarations and computes terms by their names.

Each term is minus the logarithm of a quality in (0, 1]: 0 at its best, free of units. The weighted sum of the terms is
the logarithm of a weighted geometric mean of qualities, and the gradient of each is relative to what it has reached.

The terms stand for metrics of :mod:`scripts.metrics`, and depart from them on purpose, because a loss must have a
useful gradient everywhere. All of them work on gray levels that are not rounded, in the tensors' own precision, and
share the local filters of :mod:`scripts.utils.filters` with the metrics. Beyond that:

- ``structure_a``, ``structure_b`` (VIF of each source, in ``structure.py``): windows are weighted by the loss's shares;
  variances and covariances below zero are set to zero instead of treated case by case; 0.1 is added to the variance
  under the gain; a floor keeps the logarithm finite where nothing is kept.
- ``local`` (VIFlocal): the smaller of both sources' values is a soft minimum.
- ``edges``, ``edges_worse`` (Qabf, in ``edges.py``): the sigmoids are those of Qabf without its constants 0.9994 and
  0.9879; the angle comes from the scalar product of both gradients, so it wraps around; 1 is added to each squared
  gradient; the border is left out instead of padded; pixels are weighted by the loss's shares.
- ``sharpness`` (AG, SF): the root-mean-square Sobel gradient, relative to that of both sources laid over each other;
  computed with the edges.
- ``similarity`` (SSIM, in ``similarity.py``): the same formula, range 1, moved from [-1, 1] to [0, 1], pixels weighted
  by the loss's shares. Variances are those of the window, without SSIM's correction for its size.
- ``transfer`` (SCD): the mean of both correlations, moved from [-1, 1] to [0, 1].
- ``contrast`` (SD): relative to that of both sources laid over each other.
- ``entropy`` (EN): 64 bins, each pixel shared by the two nearest, relative to the largest entropy.
- ``intensity``: no metric; the distance from the sources, weighted by the loss's shares.
"""
