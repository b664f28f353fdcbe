"""The kernel distance between two sets of feature vectors, as in KID (Binkowski et al., 2018, arXiv:1801.01401, sec. 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .rows import check


def kernel_distance(a: Tensor, b: Tensor, *, subsets: int = 100, size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """(mean, standard deviation) of the squared MMD of features (n, d) and (m, d) over random subsets of `size` rows a side.

        mean over i != j of k(a_i, a_j) + the same of b - 2 * mean of k(a_i, b_j),   k(x, y) = (x . y / d + 1)^3

    (Binkowski et al., 2018, arXiv:1801.01401, sec. 4; papers print it times 1000). It is KID on the features of the 2015
    Inception network, KID-<features> on others. Unbiased at every size: 0 on average for two draws of one distribution, so
    values slightly below 0 are right, and small samples widen the error bar but do not shift the mean.

    The standard deviation is that of one estimate from `size` rows a side; the mean over subsets is surer than that. It is taken over the
    subsets, or where they would share most of their rows (`overlap`) it is the jackknife's. size is at most the smaller of n and m.
    Subsets are those that torch-fidelity draws with `rng_seed=seed`. Summed in float64. Raises DataError for fewer than two rows a
    side, different d, NaN, or rows that are all identical; ValueError for fewer than one subset.
    """
    if subsets < 1 or size < 2:
        raise ValueError(f"the kernel distance needs at least one subset of two rows; got {subsets} of {size}.")
    a, b = check("the kernel distance (KID)", a, b, hint="Draw more samples.")
    smaller = min(len(a), len(b))
    whole = overlap(smaller, size)
    size = min(size, smaller)
    random = np.random.RandomState(seed)
    values, variances = [], []
    for _ in range(1 if len(a) == len(b) == size else subsets):
        x, y = (rows[torch.from_numpy(random.choice(len(rows), size, replace=False)).to(rows.device)] for rows in (a, b))
        value, variance = _mmd(x, y, jackknife=whole)
        values.append(value)
        variances.append(variance)
    spread = np.sqrt(np.mean(variances)) if whole else np.std(values)
    return float(np.mean(values)), float(spread)


def overlap(smaller: int, size: int) -> bool:
    """Whether subsets of `size` out of so many rows are too alike to tell by how much two draws of `size` rows differ: above a half."""
    return smaller < 2 * size


def _mmd(x: Tensor, y: Tensor, jackknife: bool) -> tuple[float, float]:
    """Unbiased squared MMD of x (n, d) and y (n, d), and the jackknife's estimate of its variance (0 if not wanted)."""
    n, d = x.shape
    within_x, within_y, between = ((p @ q.T / d + 1).double() ** 3 for p, q in ((x, x), (y, y), (x, y)))
    of_x = within_x.sum(1) - within_x.diagonal()
    of_y = within_y.sum(1) - within_y.diagonal()
    total = between.sum()
    value = float((of_x.sum() + of_y.sum()) / (n * (n - 1)) - 2 * total / n**2)
    if not jackknife or n < 3:
        return value, 0.0
    variance = 0.0
    for mine, cross in ((of_x, between.sum(1)), (of_y, between.sum(0))):  # the estimate without row i, up to a constant
        without = (mine.sum() - 2 * mine) / ((n - 1) * (n - 2)) - 2 * (total - cross) / (n * (n - 1))
        variance += float((n - 1) ** 2 / n * without.var())
    return value, variance
