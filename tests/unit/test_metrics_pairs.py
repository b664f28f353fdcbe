"""Pairs of images against constants worked out by hand, and against the equations written as loops."""

import math

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.metrics import pairs
from ganforge.metrics.pairs import SCALES, in_pieces, ms_ssim, psnr, ssim
from ganforge.metrics.perceptual import perceptual_distance


def images(n, c, size, seed=0):
    return torch.rand(n, c, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def test_psnr_by_hand():
    a = torch.zeros(2, 3, 4, 4)
    b = a + torch.tensor([0.2, 0.02]).reshape(2, 1, 1, 1)
    torch.testing.assert_close(psnr(a, b), torch.tensor([20.0, 40.0]))
    assert psnr(a, a).isposinf().all()


def test_ssim_of_flat_images_is_the_light_term():
    a, b = torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64), torch.full((1, 1, 16, 16), -0.25, dtype=torch.float64)
    assert ssim(a, b).item() == pytest.approx((2 * 1.5 * 0.75 + 0.0004) / (1.5**2 + 0.75**2 + 0.0004))


def test_large_images_are_compared_in_pieces(monkeypatch):
    """SSIM is the very same; a plain mean over pixels, too; and no piece is much larger than PIECE."""
    monkeypatch.setattr(pairs, "PIECE", 16)
    a, b = (images(2, 3, 50, seed)[:, :, :37] for seed in (0, 1))
    sides = []

    def off(x, y):
        sides.append(x.shape[2:])
        return (x - y).square().flatten(1).mean(1)

    torch.testing.assert_close(in_pieces(off, a, b), (a - b).square().flatten(1).mean(1))
    assert len(sides) == 3 * 4 and max(map(max, sides)) <= 16
    torch.testing.assert_close(in_pieces(ssim, a, b, window=11), ssim(a, b))
    assert torch.equal(in_pieces(ssim, a[..., :16, :16], b[..., :16, :16], window=11), ssim(a[..., :16, :16], b[..., :16, :16]))
    with pytest.raises(DataError, match="at least 11 x 11 pixels; got .* x 7"):
        in_pieces(ssim, a[..., :7], b[..., :7], window=11)


def test_ssim_of_one_window_is_the_equation():
    a, b = images(1, 1, 11), images(1, 1, 11, 1)
    found = ssim(a, b)[0]
    a, b = a + 1, b + 1
    at = torch.arange(11, dtype=torch.float64) - 5
    g = torch.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    g /= g.sum()
    ma, mb = (g * a).sum(), (g * b).sum()
    va, vb, ab = (g * (a - ma) ** 2).sum(), (g * (b - mb) ** 2).sum(), (g * (a - ma) * (b - mb)).sum()
    wanted = (2 * ma * mb + 4e-4) * (2 * ab + 3.6e-3) / ((ma**2 + mb**2 + 4e-4) * (va + vb + 3.6e-3))
    torch.testing.assert_close(found, wanted)


def test_ms_ssim_of_equal_images_and_of_flat_ones():
    a = images(2, 3, 176)
    torch.testing.assert_close(ms_ssim(a, a), torch.ones(2, dtype=torch.float64))
    assert math.isclose(sum(SCALES), 1, abs_tol=1e-4)
    flat = torch.full((1, 1, 176, 176), 0.5, dtype=torch.float64)
    light = (2 * 1.5 * 1.25 + 4e-4) / (1.5**2 + 1.25**2 + 4e-4)
    assert ms_ssim(flat, flat / 2).item() == pytest.approx(light**0.1333)


def test_more_noise_is_less_alike_in_every_measure():
    a, noise = images(1, 3, 176) / 2, images(1, 3, 176, 1)
    for measure in (psnr, ssim, ms_ssim):
        found = [measure(a, a + part * noise).item() for part in (0.05, 0.1, 0.4)]
        assert found == sorted(found, reverse=True) and len(set(found)) == 3


@pytest.mark.parametrize("measure, size", [(psnr, 4), (ssim, 12), (ms_ssim, 176)])
def test_slopes_are_finite_and_each_pair_stands_alone(measure, size):
    a, b = images(2, 1, size).requires_grad_(), images(2, 1, size, 1)
    values = measure(a, b)
    values[0].backward()
    assert a.grad is not None and a.grad.isfinite().all() and a.grad[0].abs().sum() > 0 and (a.grad[1] == 0).all()
    torch.testing.assert_close(measure(a[1:], b[1:]), values[1:])
    torch.testing.assert_close(measure(b, a), values)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="of one shape"):
        psnr(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    with pytest.raises(DataError, match="at least 11 x 11 pixels; got 8 x 8. PSNR"):
        ssim(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(DataError, match="at least 176 x 176 pixels; got 128 x 128. SSIM"):
        ms_ssim(torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 128, 128))


def test_perceptual_distance_by_hand():
    def network(x):  # two layers; the first has two channels, (1, 0) or (0, 1) at each place when brought to length 1
        return [torch.cat([x.clamp(min=0), (-x).clamp(min=0)], 1), x[:, :, :1, :1]]

    a, b = torch.tensor([[[[3.0, 2.0]]]]), torch.tensor([[[[5.0, -1.0]]]])
    # places: equal, opposite (|(1,0) - (0,1)|^2 = 2): mean 1; the second layer: 1 against 1
    torch.testing.assert_close(perceptual_distance(network, a, b), torch.tensor([1.0]))
    heads = [torch.tensor([0.5, 3.0]), torch.tensor([1.0])]
    torch.testing.assert_close(perceptual_distance(network, a, b, heads), torch.tensor([1.75]))
    torch.testing.assert_close(perceptual_distance(network, a, -a), torch.tensor([2.0 + 4.0]))
    with pytest.raises(DataError, match=r"maps of \[2, 1\] channels; got \[2\]"):
        perceptual_distance(network, a, b, heads[:1])


def test_perceptual_distance_has_a_finite_slope_where_maps_are_dead():
    a, b = torch.zeros(1, 3, 4, 4, requires_grad=True), images(1, 3, 4).float()
    perceptual_distance(lambda x: [x.relu()], a, b).backward()
    assert a.grad is not None and a.grad.isfinite().all()
