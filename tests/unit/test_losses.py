"""Losses against constants worked by hand, and against the definitions in the papers."""

import math

import pytest
import torch

from ganforge import losses
from ganforge.core import ref

LOG2 = math.log(2)
REAL, FAKE = torch.tensor([0.0, 2.0]), torch.tensor([0.0, -1.0])


def sp(x):
    return math.log1p(math.exp(x))


EXPECTED = {  # by hand, for the two pairs (0, 0) and (2, -1): (discriminator, generator)
    "minimax": ([2 * LOG2, sp(-2) + sp(-1)], [-LOG2, -sp(-1)]),
    "logistic": ([2 * LOG2, sp(-2) + sp(-1)], [LOG2, sp(1)]),
    "least_squares": ([0.5, 0.5 * 1 + 0.5 * 1], [0.5, 2.0]),
    "wasserstein": ([0.0, -3.0], [0.0, 1.0]),
    "hinge": ([2.0, 0.0], [0.0, 1.0]),
    "relativistic": ([LOG2, sp(-3)], [LOG2, sp(3)]),
    "relativistic_average": ([sp(-0.5) + sp(-1), sp(-2.5) + sp(-2)], [sp(0.5) + sp(1), sp(2.5) + sp(2)]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_losses_equal_values_worked_by_hand(name):
    pair, (d, g) = getattr(losses, name), EXPECTED[name]
    torch.testing.assert_close(pair.d(REAL, FAKE), torch.tensor(d))
    torch.testing.assert_close(pair.g(FAKE, REAL), torch.tensor(g))


def test_every_loss_has_a_test():
    assert set(ref.names(losses, losses.Pair)) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_patch_logits_give_one_value_per_example(name):
    pair, logits = getattr(losses, name), torch.randn(3, 1, 4, 5)
    assert pair.d(logits, -logits).shape == pair.g(logits, -logits).shape == (3,)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_better_fake_costs_the_generator_less(name):
    fake = torch.tensor([-0.3, 0.4], requires_grad=True)
    (slope,) = torch.autograd.grad(getattr(losses, name).g(fake, REAL).sum(), fake)
    assert (slope < 0).all()


def test_only_relativistic_losses_look_at_reals():
    for name in EXPECTED:
        assert getattr(losses, name).relativistic == name.startswith("relativistic")


def test_saturating_loss_has_vanishing_slope_where_the_critic_is_sure_and_the_other_has_not():
    fake = torch.tensor([-20.0], requires_grad=True)
    assert torch.autograd.grad(losses.minimax.g(fake).sum(), fake)[0].abs() < 1e-6
    assert torch.autograd.grad(losses.logistic.g(fake).sum(), fake)[0].abs() > 0.99


def test_label_smoothing_is_cross_entropy_with_softer_targets():
    r, f = torch.randn(5), torch.randn(5)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    wanted = bce(r, torch.full((5,), 0.9), reduction="none") + bce(f, torch.zeros(5), reduction="none")
    torch.testing.assert_close(losses.smooth(losses.logistic, 0.1).d(r, f), wanted)


def test_label_smoothing_of_least_squares_moves_the_target():
    r, f = torch.randn(5, requires_grad=True), torch.randn(5)
    wanted = torch.autograd.grad((((r - 0.9) ** 2 + f**2) / 2).sum(), r)[0]
    torch.testing.assert_close(torch.autograd.grad(losses.smooth(losses.least_squares, 0.1).d(r, f).sum(), r)[0], wanted)


def test_label_smoothing_refuses_losses_without_labels():
    with pytest.raises(ValueError, match="relativistic"):
        losses.smooth(losses.relativistic, 0.1)
