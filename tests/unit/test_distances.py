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


def test_total_variation_by_hand():
    x = torch.tensor([[[[0.0, 1.0, 1.0], [0.5, 1.0, -1.0]]]])  # down 0.5 + 0 + 2, across 1 + 0 + 0.5 + 2
    assert distances.tv(x).tolist() == [pytest.approx(6.0 / 6)]
    assert distances.tv(torch.cat([x, 2 * x])).tolist() == pytest.approx([1.0, 2.0])
    assert distances.tv(torch.full((2, 3, 4, 5), 0.7)).tolist() == [0, 0]
    assert distances.tv(torch.tensor([[[[0.25]]]])).item() == 0
    assert distances.tv(x[:, :, :1]).item() == pytest.approx(1 / 3)


def test_total_variation_pulls_a_spike_down_and_leaves_the_mean():
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1.0
    (slope,) = torch.autograd.grad(distances.tv(x.requires_grad_()).sum(), x)
    assert slope[0, 0, 2, 2] == pytest.approx(4 / 25) and slope.sum().abs() < 1e-6


def test_gram_by_hand():
    a = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]])  # rows of features (1, 2) and (0, 3): Gram 5, 6, 6, 9, over 4
    b = torch.zeros(1, 2, 1, 2)
    assert distances.gram([a], [b]).tolist() == pytest.approx([(25 + 2 * 36 + 81) / 16])
    assert distances.gram([a, 2 * a], [b, 2 * a]).tolist() == pytest.approx([(25 + 2 * 36 + 81) / 16])
    assert distances.gram([torch.cat([a, b])], [torch.cat([b, b])])[1] == 0


def test_gram_sees_what_comes_together_not_where_nor_how_much_of_it():
    moved = A.flatten(2)[:, :, torch.randperm(48 * 64)].view_as(A)
    torch.testing.assert_close(distances.gram([A], [moved]), torch.zeros(3), atol=1e-9, rtol=0)
    torch.testing.assert_close(distances.gram([A], [A.repeat(1, 1, 2, 1)]), torch.zeros(3), atol=1e-9, rtol=0)
    assert (distances.gram([A], [A.flip(1)]) > 1e-9).all()


def test_gram_keeps_its_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        found = distances.gram([A], [B])
    assert torch.equal(found, distances.gram([A], [B])) and found.dtype == torch.float32


def test_weighed_terms_are_added_up_and_told_unweighed():
    terms = {"near": (distances.l1, 2.0), "light": (distances.colour, 0.0), "flat": (lambda made, _: distances.tv(made), 3.0)}
    assert set(distances.used(terms)) == {"near", "flat"}
    total, off = distances.weighed(distances.used(terms), A, B)
    assert set(off) == {"distance/near", "distance/flat"}
    torch.testing.assert_close(total, 2 * distances.l1(A, B).mean() + 3 * distances.tv(A).mean())
    torch.testing.assert_close(off["distance/flat"], distances.tv(A).mean())


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
