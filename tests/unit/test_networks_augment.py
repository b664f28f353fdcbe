"""Augmentation: exact where it can be, unbiased where it is random, and differentiable."""

import math

import pytest
import torch

from ganforge import penalties
from ganforge.networks import augment
from ganforge.networks.augment import Adaptive, DiffAugment

EVERY_SHAPE = pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 8), (3, 8, 12), (4, 16, 8)])


def images(n: int, *shape: int) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def adaptive(p: float) -> Adaptive:
    made = Adaptive()
    made.strength[0].data.fill_(p)
    return made


def pixel(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


@EVERY_SHAPE
def test_nothing_changes_at_probability_zero(shape):
    x = images(6, *shape)
    assert torch.equal(adaptive(0.0)(x), x)


@EVERY_SHAPE
@pytest.mark.parametrize("change", [DiffAugment(), adaptive(1.0)], ids=["diffaugment", "ada"])
def test_shapes_stay_and_every_image_changes_in_its_own_way(shape, change):
    x = images(1, *shape).expand(6, *shape).contiguous()
    changed = change(x)
    assert changed.shape == x.shape and changed.isfinite().all()
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 6


def test_a_translation_by_hand():
    x = torch.arange(1.0, 10.0).view(1, 1, 3, 3).repeat(2, 1, 1, 1)
    moved = augment.translation(x, torch.tensor([1, -1]), torch.tensor([0, 2]))
    assert moved[0, 0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert moved[1, 0].tolist() == [[0, 0, 4], [0, 0, 7], [0, 0, 0]]


def test_a_cutout_by_hand():
    x = torch.ones(2, 1, 3, 4)
    cut = augment.cutout(x, torch.tensor([1, -1]), torch.tensor([2, 0]), 2, 2)
    assert cut[0, 0].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert cut[1, 0].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_affine_moves_by_hand():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    right = torch.tensor([[[1.0, 0, -1], [0, 1, 0]]])  # the pixel at the left is seen one further right
    torch.testing.assert_close(augment.affine(x, right)[..., 1:], x[..., :-1])
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    torch.testing.assert_close(augment.affine(x, mirror), x.flip(3))
    square = torch.arange(9.0).view(1, 1, 3, 3)
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0]]])
    turned = augment.affine(square, quarter)
    assert any(torch.allclose(turned, square.rot90(k, (2, 3)), atol=1e-5) for k in (1, 3))


def test_an_unmoved_image_comes_back_bit_for_bit():
    x = images(2, 3, 8, 8)
    moves = torch.eye(2, 3).repeat(2, 1, 1)
    moves[1, 0, 2] = 1.5
    moved = augment.affine(x, moves)
    assert torch.equal(moved[0], x[0]) and not torch.equal(moved[1], x[1])


def test_colours_by_hand():
    red = pixel(0.9, 0.0, 0.0)
    torch.testing.assert_close(augment.brightness(red, torch.tensor([0.1])), pixel(1.0, 0.1, 0.1))
    torch.testing.assert_close(augment.saturation(red, torch.tensor([0.0])), pixel(0.3, 0.3, 0.3))
    torch.testing.assert_close(augment.hue(red, torch.tensor([2 * math.pi / 3])), pixel(0.0, 0.9, 0.0))
    torch.testing.assert_close(augment.luma_flip(pixel(0.5), torch.tensor([True])), pixel(-0.5))
    torch.testing.assert_close(augment.luma_flip(red, torch.tensor([False])), red)
    two = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    torch.testing.assert_close(augment.contrast(two, torch.tensor([0.5])), torch.tensor([0.25, 0.75]).view(1, 1, 1, 2))


def test_transparency_keeps_its_values():
    x = images(16, 4, 1, 1)  # one pixel: no move can change it, but for mirrored borders, which are the same
    coloured = adaptive(0.8)._recolouring(x)(x)
    assert torch.equal(coloured[:, 3], x[:, 3]) and not torch.allclose(coloured[:, :3], x[:, :3])


@pytest.mark.parametrize("name", ["brightness", "saturation", "contrast"])
def test_diffaugments_colours_change_nothing_on_average(name):
    x = images(1, 3, 4, 4).expand(10_000, -1, -1, -1)
    low, high = {"brightness": (-0.5, 0.5), "saturation": (0, 2), "contrast": (0.5, 1.5)}[name]
    changed = getattr(augment, name)(x, augment._uniform(x, low, high))
    assert (changed.mean(0) - x[0]).abs().max() < 0.03 < (changed - x).abs().max()


def test_diffaugment_shifts_by_up_to_an_eighth_and_cuts_half_a_side():
    x = torch.ones(3000, 1, 16, 16)
    moved = augment.translation(x, augment._whole(x, 2), augment._whole(x, 2))
    empty = (moved == 0).flatten(1).float().mean(1)
    assert empty.max() == pytest.approx(1 - (14 / 16) ** 2) and (empty == 0).float().mean() == pytest.approx(1 / 25, abs=0.015)
    torch.manual_seed(0)
    holes = (augment.diffaugment(x) == 0).flatten(1).float().mean(1)
    assert holes.max() <= 1 - (14 / 16) ** 2 + 0.25 + 1e-6 and holes.min() >= 16 / 256


@pytest.mark.parametrize("p", [0.0, 0.3, 0.8])
def test_each_operation_strikes_with_its_probability(p):
    made, x = adaptive(p), torch.zeros(20_000, 1, 1, 1)
    struck = made._sometimes(x, torch.ones(len(x))).mean()
    assert float(struck) == pytest.approx(p, abs=0.015)


@pytest.mark.parametrize("part", ["whole", "fractional"])
def test_a_shift_is_one_operation_of_both_axes(part, monkeypatch):
    """It strikes with p, and where it does along both axes; with a chance for each axis, both would be struck with p squared."""
    made, x = adaptive(0.3), torch.zeros(()).expand(20_000, 1, 64, 64)
    for name in ("_uniform", {"whole": "_normal", "fractional": "_whole"}[part]):  # of all else nothing moves
        monkeypatch.setattr(augment, name, lambda x, *_: torch.zeros(len(x)))
    monkeypatch.setattr(torch, "randint", _no_turns(torch.randint))
    moved = made._matrix(x)[:, :, 2].round(decimals=4) != 0
    if part == "whole":  # 16 of 17 whole shifts are none of zero
        both, right = 0.3 * (16 / 17) ** 2, 0.3 * 16 / 17
    else:
        both = right = 0.3
    assert float(moved[:, 0].float().mean()) == pytest.approx(right, abs=0.02)
    assert float(moved.all(1).float().mean()) == pytest.approx(both, abs=0.02)


def _no_turns(draw):
    """torch.randint without mirrors and quarter turns, which start from 0."""
    return lambda low, *rest, **how: draw(low, *rest, **how) * (low != 0)


def test_two_turns_together_strike_with_p():
    made, x = adaptive(0.5), torch.zeros(20_000, 1, 1, 1)
    part = 1 - (1 - made.p).sqrt()
    struck = sum(made._sometimes(x, torch.ones(len(x)), part) for _ in range(2)) > 0
    assert float(struck.float().mean()) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("change", [DiffAugment(), adaptive(0.5)], ids=["diffaugment", "ada"])
def test_real_and_generated_images_are_changed_alike(change):
    """The same images as real and as fake: the two sets of changed images have the same moments."""
    x = images(8, 3, 8, 8).repeat(500, 1, 1, 1)
    one, other = change(x), change(x)
    assert (one.mean(0) - other.mean(0)).abs().max() < 0.08
    assert float(one.var()) == pytest.approx(float(other.var()), rel=0.05)


@pytest.mark.parametrize("change", [DiffAugment(), adaptive(0.8)], ids=["diffaugment", "ada"])
def test_gradients_reach_the_images(change):
    x = images(64, 3, 8, 8).requires_grad_()
    change(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and (x.grad.flatten(1).abs().sum(1) > 0).float().mean() > 0.95


@pytest.mark.parametrize("change", [DiffAugment(), adaptive(1.0)], ids=["diffaugment", "ada"])
def test_a_drawn_change_stays_the_same(change):
    x, other = images(6, 3, 8, 8), images(6, 3, 8, 8).flip(0)
    drawn = change.drawn(x)
    assert torch.equal(drawn(x), drawn(x)) and not torch.equal(drawn(x), change.drawn(x)(x))
    half = drawn(0.5 * x + 0.5 * other)  # every operation is affine in the pixels
    torch.testing.assert_close(half, 0.5 * drawn(x) + 0.5 * drawn(other), rtol=1e-4, atol=1e-5)


def test_resampling_can_be_differentiated_as_often_as_need_be():
    x = images(2, 1, 4, 5).double().requires_grad_()
    moves = torch.tensor([[[0.9, -0.3, 0.4], [0.2, 1.1, -0.7]], [[1.0, 0.0, 1.5], [0.0, 1.0, 0.0]]]).double()
    assert torch.autograd.gradcheck(lambda given: augment.affine(given, moves), x)
    assert torch.autograd.gradgradcheck(lambda given: augment.affine(given, moves) ** 3, x)


@pytest.mark.parametrize(("p", "told_apart"), [(0.5, True), (1.0, False)])
def test_turned_sets_can_be_told_from_upright_ones_while_p_is_below_one(p, told_apart):
    """Why ADA does not leak: a generator of turned images would be found out, until every image is turned (arXiv:2006.06676, sec. 2.2)."""
    x = torch.zeros(3000, 1, 8, 8)
    x[:, :, :4] = 1  # light above
    moved = augment.affine(x, adaptive(p)._matrix(x))
    above, below = moved[:, :, :4].mean((1, 2, 3)), moved[:, :, 4:].mean((1, 2, 3))
    surplus = (above > below + 0.1).float().mean() - (below > above + 0.1).float().mean()
    assert (surplus > 0.12) if told_apart else (abs(surplus) < 0.05)


def test_consistency_by_hand():
    """A critic that counts brightness does not notice a shift within a black frame; one that reads a single row does."""
    x = torch.zeros(64, 1, 16, 16)
    x[:, :, 4:12, 4:12] = 1
    assert penalties.consistency(lambda s: s.sum((1, 2, 3)), x, x).abs().max() == 0
    got = penalties.consistency(lambda s: s[:, 0, 3].sum(1), x, 2 * x)  # row 3 sees the square once it moves up: 8 or 16 pixels' worth
    assert set(got.tolist()) == {0.0, 64.0, 256.0, 320.0}
    with pytest.raises(ValueError, match="these are none"):
        penalties.consistency(lambda s: s, torch.zeros(4, 2), torch.zeros(4, 2))
