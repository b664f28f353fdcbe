"""What one step of two players computes, and how often it asks the networks."""

import pytest
import torch
from torch import nn

from ganforge import losses, penalties
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.methods.two_player import Penalty
from tests.contract.toys import two_player

NOW = Progress(0, 0, 100)
BATCH = {"x": torch.linspace(-1, 1, 16).reshape(8, 2)}


def calls(network: nn.Module) -> list[int]:
    """Batch sizes of the forward passes of a network from now on."""
    sizes: list[int] = []
    network.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    return sizes


def test_logits_of_the_loss_serve_a_penalty_on_the_whole_batch():
    method = two_player(losses.relativistic, penalties=[Penalty(penalties.r1_finite_difference, 1.0), Penalty(penalties.lecam, 1.0)])
    sizes = calls(method.discriminator)
    next(method.step(BATCH, NOW))
    assert sizes == [8, 8, 8], "real, fake and the shaken real ones; nothing twice"


def test_a_penalty_on_a_share_judges_just_that_share():
    method = two_player(losses.relativistic, penalties=[Penalty(penalties.r1_finite_difference, 1.0, share=0.25)])
    sizes = calls(method.discriminator)
    next(method.step(BATCH, NOW))
    assert sizes == [8, 8, 2, 2]


@pytest.mark.parametrize("of", [penalties.r1_finite_difference, penalties.r2_finite_difference, penalties.r1, penalties.lecam])
def test_the_step_logs_the_penalty_that_the_function_gives(of):
    method = two_player(losses.relativistic, penalties=[Penalty(of, 1.0)])
    torch.manual_seed(1)
    update = next(method.step(BATCH, NOW))
    torch.manual_seed(1)
    fake = method.generator(method.latent(8)).detach()
    torch.testing.assert_close(update.log[f"penalty/{of.__name__}"], of(method.discriminator, BATCH["x"], fake).mean())


@pytest.mark.parametrize(("reuse", "passes"), [(False, 2), (True, 1)])
def test_reused_fakes_save_a_pass_of_the_generator(reuse, passes):
    method = two_player(reuse_fakes=reuse)
    sizes = calls(method.generator)
    iterate(method, [BATCH], NOW)
    assert len(sizes) == passes


def test_with_reused_fakes_the_generator_learns_from_the_moved_discriminator():
    method = two_player(reuse_fakes=True)
    torch.manual_seed(1)
    step = method.step(BATCH, NOW)
    next(step)
    with torch.no_grad():
        for p in method.discriminator.parameters():
            p.add_(0.1)
    loss = next(step).loss
    torch.manual_seed(1)
    fake = method.generator(method.latent(8))
    torch.testing.assert_close(loss, losses.logistic.g(method.discriminator(fake), None).mean())
