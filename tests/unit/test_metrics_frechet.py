"""The Frechet distance against Gaussians whose distance is known, and where covariances have no full rank."""

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.metrics.frechet import frechet_distance, from_moments
from ganforge.metrics.moments import Moments, gram


def exactly(mean, variances):
    """Two rows a dimension, whose mean and (diagonal, unbiased) covariance are exactly these."""
    d = len(variances)
    offsets = torch.diag((torch.tensor(variances).double() * (2 * d - 1) / 2).sqrt())
    return torch.cat([offsets, -offsets]) + torch.tensor(mean).double()


def test_diagonal_gaussians_have_the_distance_of_the_closed_form():
    a, b = exactly([0.0, 0.0, 0.0], [1.0, 4.0, 9.0]), exactly([1.0, 2.0, 2.0], [4.0, 4.0, 1.0])
    assert frechet_distance(a, b) == pytest.approx(9 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2, abs=1e-12)


def test_covariances_that_do_not_commute():
    a, b = torch.tensor([[2.0, 0.0], [0.0, 0.5]]).double(), torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
    product = a @ b  # the roots of its eigenvalues add up to sqrt(trace + 2 sqrt(det)) in two dimensions
    root = (product.trace() + 2 * product.det().sqrt()).sqrt()
    wanted = float(a.trace() + b.trace() - 2 * root)
    assert from_moments(torch.zeros(2), a, torch.zeros(2), b) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("n", [5, 40, 400])
def test_a_set_is_at_no_distance_from_itself_at_any_rank(n):
    x = torch.randn(n, 40, generator=torch.Generator().manual_seed(0)) * 100 + 1e4
    moments = Moments().add(x)
    assert frechet_distance(x, x) < 1e-7
    assert from_moments(moments.mean, moments.cov, moments.mean, moments.cov) < 1e-7


@pytest.mark.parametrize("n, m", [(30, 20), (30, 500), (500, 600)])
def test_few_rows_many_rows_and_moments_agree(n, m):
    draw = torch.Generator().manual_seed(1)
    a, b = torch.randn(n, 64, generator=draw).double(), 2 * torch.randn(m, 64, generator=draw).double() + 0.1
    of_a, of_b = Moments().add(a), Moments().add(b)
    wanted = from_moments(of_a.mean, of_a.cov, of_b.mean, of_b.cov)
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(wanted, rel=1e-9)
    values, vectors = torch.linalg.eigh(torch.cov(a.T))  # the textbook's way
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    trace = torch.linalg.eigvalsh(root @ torch.cov(b.T) @ root).clamp(min=0).sqrt().sum()
    textbook = (a.mean(0) - b.mean(0)).square().sum() + torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * trace
    assert wanted == pytest.approx(float(textbook), rel=1e-5)


def test_moments_of_parts_are_those_of_the_whole():
    x = torch.randn(100, 7, generator=torch.Generator().manual_seed(2)).double() + 1e6
    parts = Moments().add(x[:1]).add(x[1:40]).add(x[40:40])
    parts.merge(Moments().add(x[40:])).merge(Moments())
    assert parts.count == 100
    torch.testing.assert_close(parts.mean, x.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(parts.cov, torch.cov(x.T), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gram(x - 1e6), (x - 1e6).T @ (x - 1e6))


def test_small_samples_read_as_distance():
    """Why a floor stands beside every number: it falls as one over the size."""
    draw = torch.Generator().manual_seed(3)
    small, large = (frechet_distance(*torch.randn(2, n, 20, generator=draw)) for n in (100, 1000))
    assert 5 < small / large < 20


@pytest.mark.parametrize(
    "a, b, says",
    [
        (torch.randn(1, 4), torch.randn(9, 4), "at least 2 samples a side; got 1 and 9. The kernel distance .KID. is unbiased"),
        (torch.randn(9, 4), torch.randn(9, 5), "4 and 5 dimensions"),
        (torch.randn(9, 4), torch.randn(9, 4, 2), "rows of features"),
        (torch.randn(9, 4), torch.full((9, 4), torch.nan), "9 of 9 rows of set 2 hold NaN or infinity, the first is number 0"),
        (torch.ones(9, 4), torch.randn(9, 4), "all 9 rows of set 1 are identical"),
    ],
)
def test_bad_sets_are_named(a, b, says):
    with pytest.raises(DataError, match=says):
        frechet_distance(a, b)


def test_bad_moments_are_named():
    mean, cov = torch.zeros(3), torch.eye(3)
    with pytest.raises(DataError, match=r"covariance \(3, 3\); got \(2, 2\)"):
        from_moments(mean, cov, mean, torch.eye(2))
    with pytest.raises(DataError, match="a covariance holds NaN"):
        from_moments(mean, cov, mean, cov * torch.nan)
    with pytest.raises(DataError, match="at least two samples"):
        _ = Moments().add(torch.randn(1, 3)).cov
    with pytest.raises(DataError, match=r"rows of features \(n, 3\)"):
        Moments().add(torch.randn(1, 3)).add(torch.randn(1, 4))
