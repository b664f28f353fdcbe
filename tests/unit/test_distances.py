"""Distances as losses: hand-worked values, what each one sees and does not see, slopes that stay finite."""

import math

import pytest
import torch

from ganforge import distances
from ganforge.metrics import pairs

A, B = (torch.rand(3, 3, 48, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1 for seed in (0, 1))
IMAGES = {name: getattr(distances, name) for name in ("l1", "charbonnier", "ms_ssim", "colour")}
each = pytest.mark.parametrize("name", IMAGES)


@each
def test_a_distance_is_one_number_an_example_and_zero_for_equal_images(name):
    far, none = IMAGES[name](A, B), IMAGES[name](A, A.clone())
    assert far.shape == none.shape == (3,) and (far > 1e-3).all()
    torch.testing.assert_close(none, torch.zeros(3), atol=1e-5, rtol=0)


@each
def test_slopes_are_finite_even_where_images_are_equal_or_opposite(name):
    for other in (A, -A, torch.zeros_like(A)):
        x = A.clone().requires_grad_()
        (slope,) = torch.autograd.grad(IMAGES[name](x, other).sum(), x)
        assert slope.isfinite().all()


def test_values_worked_by_hand():
    a, b = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, -1.0]]]])
    assert distances.l1(a, b).item() == pytest.approx(1.25)
    assert distances.charbonnier(a, b, eps=1.0).item() == pytest.approx((math.sqrt(1.25) + math.sqrt(5)) / 2 - 1)
    maps = [torch.ones(1, 1, 2, 2), torch.zeros(1, 2, 1, 1)], [torch.zeros(1, 1, 2, 2), torch.full((1, 2, 1, 1), 0.5)]
    assert distances.feature_matching(*maps).item() == pytest.approx(0.75)


def test_colour_sees_no_detail():
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(24, 32).expand_as(A) * 0.1
    torch.testing.assert_close(distances.colour(A + checks, A), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(distances.colour(A + 0.1, A), torch.full((3,), 0.1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side, scales", [(11, 1), (21, 1), (22, 2), (43, 2), (44, 3), (64, 3), (96, 4), (176, 5), (400, 5)])
def test_ms_ssim_takes_as_many_scales_as_fit(side, scales, monkeypatch):
    seen = []
    monkeypatch.setattr(distances, "windows", lambda a, b, plain=distances.windows: (seen.append(a.shape[2]), plain(a, b))[1])
    assert 0 < distances.ms_ssim(torch.rand(1, 1, side, side), torch.rand(1, 1, side, side)).item() <= 1
    assert len(seen) == scales and seen[-1] >= 11


def test_ms_ssim_is_the_metric_where_all_scales_fit_and_ssim_where_one_does():
    a = torch.rand(2, 3, 180, 200) * 2 - 1
    b = a + 0.1 * torch.randn_like(a)
    torch.testing.assert_close(distances.ms_ssim(a, b), 1 - pairs.ms_ssim(a, b))
    torch.testing.assert_close(distances.ms_ssim(a[..., :20, :20], b[..., :20, :20]), 1 - pairs.ssim(a[..., :20, :20], b[..., :20, :20]))


def test_ms_ssim_keeps_its_precision_under_autocast():
    b = A + 0.02 * torch.randn(A.shape, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16):
        found = distances.ms_ssim(A, b)
    torch.testing.assert_close(found, distances.ms_ssim(A, b))


def test_images_smaller_than_a_window_are_refused():
    with pytest.raises(ValueError, match="at least 11 x 11 pixels; got 8 x 48"):
        distances.ms_ssim(A[..., :8, :48], A[..., :8, :48])
