"""Penalties against critics whose slopes are known in closed form."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from ganforge import penalties as p

W = torch.tensor([3.0, 4.0])  # |W| = 5
SLOPE = nn.Parameter(W.clone())


def linear(x):
    return x @ SLOPE


def quadratic(x):  # slope 2x at x
    return x.square().sum(1)


REAL, FAKE = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 3.0], [4.0, 0.0]])


def test_penalties_are_exact_on_a_linear_critic():
    to_one, to_zero = ((p.gradient_penalty, 16.0), (p.dragan, 16.0)), ((p.zero_centered_gp, 25.0), (p.wgan_div, 5.0**6))
    for penalty, value in (*to_one, *to_zero, (p.r1, 12.5), (p.r2, 12.5)):
        torch.testing.assert_close(penalty(linear, REAL, FAKE), torch.tensor([value, value]))


def test_wgan_div_by_hand():
    """Slope 2x at x: real and fake alike leave no doubt where x is. |2 (1, 0)|^6 = 2^6 and |2 (0, 2)|^6 = 4^6."""
    torch.testing.assert_close(p.wgan_div(quadratic, REAL, REAL), torch.tensor([64.0, 4096.0]))
    torch.testing.assert_close(p.wgan_div(quadratic, REAL, REAL, power=2), torch.tensor([4.0, 16.0]))


def test_gradient_penalty_is_per_example_and_not_over_the_batch():
    unit = nn.Parameter(W / 5)
    for n in (1, 4, 64):
        assert p.gradient_penalty(lambda x: x @ unit, torch.randn(n, 2), torch.randn(n, 2)).abs().max() < 1e-6


def test_r1_looks_at_reals_and_r2_at_fakes():
    torch.testing.assert_close(p.r1(quadratic, REAL, FAKE), 2 * REAL.square().sum(1))
    torch.testing.assert_close(p.r2(quadratic, REAL, FAKE), 2 * FAKE.square().sum(1))


def test_line_penalties_look_between_real_and_fake_and_dragan_near_reals():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return quadratic(x)

    real, fake = torch.zeros(500, 2), torch.ones(500, 2)
    for penalty in (p.gradient_penalty, p.wgan_div):
        penalty(critic, real, fake)
        assert 0 <= seen[-1].min() < 0.05 and 0.95 < seen[-1].max() <= 1
        assert torch.equal(seen[-1][:, 0], seen[-1][:, 1]), "one position per example on the line"
    real = torch.randn(500, 2)
    p.dragan(critic, real, fake)
    moved = seen[-1] - real
    assert 0 <= moved.min() and moved.max() <= 0.5 * real.std() and moved.max() > 0.3 * real.std()


def test_penalties_train_the_critic():
    finite = (p.r1_finite_difference, p.r2_finite_difference)
    for penalty in (p.gradient_penalty, p.dragan, p.zero_centered_gp, p.wgan_div, p.r1, p.r2, *finite):
        (grad,) = torch.autograd.grad(penalty(linear, REAL, FAKE).sum(), SLOPE)
        assert grad @ W > 0, f"{penalty.__name__} does not flatten the slope"


@pytest.mark.parametrize("which", [1, 2])
def test_finite_differences_agree_with_exact_penalties_on_average(which):
    torch.manual_seed(1)
    critic = nn.Sequential(nn.Conv2d(3, 16, 4, 2, 1), nn.SiLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(2048, 1))
    real, fake = torch.rand(64, 3, 32, 32) * 2 - 1, torch.rand(64, 3, 32, 32) * 2 - 1
    exact, cheap = (p.r1, p.r1_finite_difference) if which == 1 else (p.r2, p.r2_finite_difference)
    wanted = exact(lambda x: critic(x).squeeze(1), real, fake).mean()
    got = torch.stack([cheap(lambda x: critic(x).squeeze(1), real, fake).mean() for _ in range(30)]).mean()
    assert 0.9 < got / wanted < 1.1


def test_finite_differences_have_the_gradient_of_the_exact_penalty_on_average():
    critic = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    judge, x = (lambda s: critic(s).squeeze(1)), torch.randn(256, 8)
    exact = torch.autograd.grad(p.r1(judge, x, x).mean(), critic[0].weight)[0]
    runs = [torch.autograd.grad(p.r1_finite_difference(judge, x, x).mean(), critic[0].weight)[0] for _ in range(100)]
    assert (torch.stack(runs).mean(0) - exact).norm() / exact.norm() < 0.1


def test_lecam_by_hand():
    critic = lambda x: x  # noqa: E731
    got = p.lecam(critic, torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))  # means 2 and 1
    torch.testing.assert_close(got, torch.tensor([(1 - 1) ** 2 + (0 - 2) ** 2, (3 - 1) ** 2 + (2 - 2) ** 2], dtype=torch.float))


class Graph(NamedTuple):
    atoms: Tensor
    bonds: Tensor


def test_a_sample_may_be_a_tuple_of_tensors():
    real, fake = Graph(torch.randn(4, 3), torch.randn(4, 2, 2)), Graph(torch.randn(4, 3), torch.randn(4, 2, 2))
    judge = lambda g: g.atoms.sum(1) * 2 + g.bonds.sum((1, 2)) * 3  # noqa: E731  slope^2 = 3 * 4 + 4 * 9 = 48
    torch.testing.assert_close(p.r1(judge, real, fake), torch.full((4,), 24.0))
    torch.testing.assert_close(p.gradient_penalty(judge, real, fake), torch.full((4,), (48**0.5 - 1) ** 2))


def test_patch_critics_and_bf16_networks_are_penalised_in_fp32():
    critic = nn.Conv2d(1, 1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        got = p.r1(critic, torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8))
    assert got.shape == (2,) and got.dtype == torch.float32
