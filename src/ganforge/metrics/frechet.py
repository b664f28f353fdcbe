"""The Frechet distance between two sets of feature vectors, as in FID (Heusel et al., 2017, arXiv:1706.08500, eq. 6)."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2)) of features (n, f) and (m, f), in float64.

    It is FID only on the features of the 2015 Inception network; on others call it FD-<features>. Raises ValueError for
    fewer than two rows on a side. The trace of the root is the sum of roots of the eigenvalues of A^(1/2) B A^(1/2).
    """
    if len(a) < 2 or len(b) < 2:
        raise ValueError(f"a Frechet distance needs at least two feature vectors a side; got {len(a)} and {len(b)}.")
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    trace = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * trace)
