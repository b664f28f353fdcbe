"""Density and coverage (Naeem et al., 2020, arXiv:2002.09797): precision and recall that one outlier cannot lift."""

from __future__ import annotations

import torch
from torch import Tensor

from .neighbours import TIE, distances, reach
from .rows import check


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """(density, coverage) of features (n, d) and (m, d): density from 0, about 1 for a perfect model, more where samples
    crowd; coverage from 0 to 1.

    With the ball of a real row reaching its k-th nearest real row: density is the mean number of balls that a fake lies in,
    divided by k; coverage is the share of balls that hold a fake (Naeem et al., 2020, arXiv:2002.09797, eq. 5-6; balls are open, as in
    the authors' program, so a set against itself has density 1).
    A perfect model covers 1 - (n-1)...(n-k) / ((2n-1)...(2n-k)) at n = m, about 1 - 2^-k (0.97 at k = 5), from a few hundred rows
    on; fewer fakes than reals cover less, so compare at equal sizes. Raises DataError for fewer than k + 1 rows a side,
    different d, NaN, or rows that are all identical.
    """
    real, fake = check("density and coverage", real, fake, least=k + 1)
    around = reach(real, k) * (1 - TIE)
    inside, covered = 0, torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for _, squared in distances(fake, real):
        within = squared < around
        inside += int(within.sum())
        covered |= within.any(0)
    return inside / (k * len(fake)), float(covered.double().mean())
