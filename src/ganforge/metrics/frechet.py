"""The Frechet distance between two sets of feature vectors, as in FID (Heusel et al., 2017, arXiv:1706.08500, eq. 6).

    |mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2)),   A and B the covariances

Any F with A = F_a^T F_a gives the trace of the root without a matrix root: the singular values of F_a F_b^T are the roots
of the eigenvalues of A B. Nothing is squared, nothing is added to a diagonal, so rank-deficient covariances are exact too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.errors import DataError
from .moments import Moments
from .rows import check


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The distance of features (n, d) to (m, d), computed in float64: >= 0, in squared units of the features, lower is closer.

    It is FID only on the features of the 2015 Inception network; on others call it FD-<features> (Heusel et al., 2017,
    arXiv:1706.08500, eq. 6). Small samples read as distance: two draws of one distribution are not at 0 but at a floor that
    falls as 1/n, so compare only at equal n, and show real-against-real beside it (Chong & Forsyth, 2020, arXiv:1911.07023).
    Raises DataError for fewer than two rows a side, different d, NaN, or rows that are all identical.
    """
    a, b = check("the Frechet distance", a, b)
    return _distance(*_of_rows(a), *_of_rows(b))


def from_moments(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """As `frechet_distance`, from means (d,) and covariances (d, d): for sets that are streamed (`Moments`) or cached.

    Covariances of fewer samples than dimensions are fine. Raises DataError for shapes that do not fit or values that are not finite.
    """
    d = mean_a.numel()
    for value, shape in ((mean_a, (d,)), (cov_a, (d, d)), (mean_b, (d,)), (cov_b, (d, d))):
        name = "mean" if len(shape) == 1 else "covariance"
        if value.shape != shape:
            raise DataError(f"the Frechet distance needs moments of one network on both sides: {name} {shape}; got {tuple(value.shape)}.")
        if not value.isfinite().all():
            raise DataError(f"the Frechet distance: a {name} holds NaN or infinity; look at the features that it was made of.")
    a, b = cov_a.double(), cov_b.double()
    return _distance(mean_a.double(), _factor(a), a.trace(), mean_b.double(), _factor(b), b.trace())


def _of_rows(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(mean, factor, trace of the covariance): the centred rows themselves are a factor, the smaller one if there are few."""
    if len(x) <= x.shape[1]:
        x = x.double()
        factor = (x - x.mean(0)) / (len(x) - 1) ** 0.5
        return x.mean(0), factor, factor.square().sum()
    moments = Moments().add(x)
    return moments.mean, _factor(moments.cov), moments.cov.trace()


def _factor(cov: Tensor) -> Tensor:
    """F (rank, d) with F^T F = cov: Cholesky's where the rank is clear, else of the eigenvalues that rounding has not made.

    An eigenvalue that is only rounding, 1e-16, would add a singular value of 1e-8: so they must go.
    """
    rounding = len(cov) * torch.finfo(cov.dtype).eps
    lower, failed = torch.linalg.cholesky_ex(cov)
    pivots = lower.diagonal().square()
    if not failed and pivots.min() > rounding * pivots.max():
        return lower.T
    values, vectors = torch.linalg.eigh(cov)
    kept = values > rounding * values.max()
    return values[kept].sqrt()[:, None] * vectors[:, kept].T


def _distance(mean_a: Tensor, factor_a: Tensor, trace_a: Tensor, mean_b: Tensor, factor_b: Tensor, trace_b: Tensor) -> float:
    root = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
    return max(0.0, float((mean_a - mean_b).square().sum() + trace_a + trace_b - 2 * root))
