"""KID, MIND and the Inception Score against values worked out by hand, and what they promise of small samples."""

import math
import statistics

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.metrics.inception_score import inception_score
from ganforge.metrics.kernel import kernel_distance
from ganforge.metrics.mind import mind


def test_kernel_distance_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    # k(0, 1) = 1; k(2, 3) = 7^3 = 343; k(0, .) = 1; k(1, 2) = 27, k(1, 3) = 64
    assert kernel_distance(a, b)[0] == 1 + 343 - 2 * (1 + 1 + 27 + 64) / 4


def test_kernel_distance_is_unbiased_where_the_frechet_distance_is_not():
    draw = torch.Generator().manual_seed(0)
    found = [kernel_distance(*torch.randn(2, 10, 8, generator=draw))[0] for _ in range(2000)]
    mean, error = statistics.mean(found), statistics.stdev(found) / math.sqrt(len(found))
    assert abs(mean) < 3 * error and min(found) < 0


@pytest.mark.parametrize("n, m", [(50, 50), (50, 400)])
def test_the_error_bar_of_small_sets_is_the_spread_over_draws(n, m):
    draw = torch.Generator().manual_seed(1)
    found = [kernel_distance(torch.randn(n, 4, generator=draw), torch.randn(m, 4, generator=draw) + 0.5, subsets=5) for _ in range(300)]
    spread, told = statistics.stdev(value for value, _ in found), statistics.mean(error for _, error in found)
    assert 0.8 < told / spread < 1.6  # drawn from both sides, it may only be too wide


def test_the_error_bar_of_large_sets_is_that_of_one_subset():
    draw = torch.Generator().manual_seed(2)
    a, b = torch.randn(2000, 4, generator=draw), torch.randn(2000, 4, generator=draw) + 0.5
    _, of_100 = kernel_distance(a, b, size=100)
    _, of_400 = kernel_distance(a, b, size=400)
    assert of_100 / of_400 == pytest.approx(2, rel=0.4)


@pytest.mark.parametrize("n", [100, 101, 130, 199])
def test_the_error_is_that_of_other_draws_also_where_subsets_share_most_rows(n):
    draw, apart = torch.Generator().manual_seed(n), torch.tensor([0.0, 1.0]).view(2, 1, 1)
    found = [kernel_distance(*torch.randn(2, n, 6, generator=draw) + apart, subsets=8, size=100) for _ in range(150)]
    of_100 = [kernel_distance(*torch.randn(2, 100, 6, generator=draw) + apart)[0] for _ in range(150)]
    values, errors = zip(*found)
    assert 0.8 < statistics.mean(errors) / statistics.stdev(of_100) < 1.25 and statistics.stdev(values) < 1.25 * statistics.mean(errors)


def test_kernel_distance_repeats_and_depends_on_the_seed():
    a, b = torch.randn(2, 300, 5)
    assert kernel_distance(a, b, size=50) == kernel_distance(a, b, size=50) != kernel_distance(a, b, size=50, seed=1)


def test_kernel_distance_refuses():
    x = torch.randn(9, 4)
    with pytest.raises(DataError, match="at least 2 samples a side; got 9 and 1. Draw more"):
        kernel_distance(x, x[:1])
    with pytest.raises(ValueError, match="at least one subset"):
        kernel_distance(x, x, subsets=0)


def test_mind_of_a_shift_is_three_times_its_squared_length():
    """Every projection moves by u . s, whose square is |s|^2 / d on average."""
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(3))
    shift = torch.tensor([3.0, 0.0, 4.0])
    assert mind(x, x + shift, projections=20_000) == pytest.approx(3 * 25, rel=0.02)
    assert mind(x, x) == 0


def test_mind_in_one_dimension_is_exact_at_any_sizes():
    a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [0.0], [6.0]])
    # thirds of b against halves of a: (0-0)^2/3 + (0-3)^2/6 + (2-3)^2/6 + (2-6)^2/3 = 7
    assert mind(a, b, projections=3) == pytest.approx(3 * 7)
    assert mind(b, a, projections=3) == pytest.approx(3 * 7)


def test_mind_of_repeated_rows_does_not_change():
    draw = torch.Generator().manual_seed(4)
    a, b = torch.randn(20, 5, generator=draw), torch.randn(30, 5, generator=draw)
    assert mind(a.repeat(3, 1), b) == pytest.approx(mind(a, b.repeat(2, 1)), rel=1e-5)


def test_inception_score_of_clear_and_even_classes_is_their_number():
    p = torch.eye(10).repeat(20, 1)
    assert inception_score(p, splits=1) == (pytest.approx(10), 0)
    assert inception_score(torch.full((40, 10), 0.1), splits=4)[0] == pytest.approx(1)
    assert inception_score(torch.eye(10)[:1].repeat(40, 1), splits=4)[0] == pytest.approx(1), "one class only"


def test_inception_score_takes_logits_and_probabilities():
    logits = 3 * torch.randn(500, 7, generator=torch.Generator().manual_seed(5)).double()
    assert inception_score(logits) == pytest.approx(inception_score(logits.softmax(1)))
    assert inception_score(logits) == pytest.approx(inception_score(logits + 5)), "logits are free up to a constant"


def test_inception_score_shuffles_what_comes_sorted():
    assert inception_score(torch.eye(10).repeat_interleave(100, 0), splits=10)[0] > 9


def test_inception_score_refuses():
    with pytest.raises(DataError, match="at least two samples a split; got 10 samples for 10 splits"):
        inception_score(torch.randn(10, 5))
    with pytest.raises(DataError, match=r"\(n, classes\)"):
        inception_score(torch.randn(10, 1))
    with pytest.raises(DataError, match="NaN"):
        inception_score(torch.full((30, 5), torch.nan))
