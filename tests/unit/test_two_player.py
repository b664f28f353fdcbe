"""What one step of two players computes, and how often it asks the networks."""

from functools import partial

import pytest
import torch
from torch import nn

from ganforge import losses, penalties
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.methods.two_player import Penalty, TwoPlayer
from ganforge.networks.conditioning import hidden
from ganforge.networks.diversity import mode_seeking
from ganforge.networks.image.equalised import BatchSpread
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
    assert sizes == [8, 8, 2], "and knows the logits of the real ones in it"


def test_the_logits_that_a_share_is_told_are_its_own():
    method = two_player(losses.relativistic, penalties=[Penalty(penalties.lecam, 1.0, share=0.25)])
    fake = BATCH["x"].flip(0) * 0.7
    seen = [(x, method.discriminator(x, None)) for x in (BATCH["x"], fake)]
    size, _ = method.penalty(seen, None, NOW)
    wanted = penalties.lecam(lambda x: method.discriminator(x, None), BATCH["x"][:2], fake[:2]).mean()
    torch.testing.assert_close(size, wanted)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(16), BatchSpread()])
def test_logits_that_depend_on_the_batch_are_asked_for_anew_of_a_part(layer):
    """Else the difference would be that of two batches, divided by 0.05."""
    torch.manual_seed(0)
    method = two_player(losses.relativistic)
    judge = method.discriminator
    flat = nn.Flatten() if isinstance(layer, BatchSpread) else nn.Identity()
    shape = nn.Unflatten(1, (16, 1, 1)) if isinstance(layer, BatchSpread) else nn.Identity()
    judge.body = nn.Sequential(judge.body[0], judge.body[1], shape, layer, flat, nn.Linear(16 + isinstance(layer, BatchSpread), 1))
    penalty = Penalty(lambda critic, real, fake: (critic(real + 0) - critic(real)) ** 2, 1.0, share=0.25)
    method = TwoPlayer(method.generator, judge, latent=method.latent, loss=method.loss, optimizer=torch.optim.Adam, penalties=[penalty])
    update = next(method.step(BATCH, NOW))
    assert update.log["penalty/<lambda>"] == 0


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


class Told(nn.Module):
    """Notes the classes that it is given; an image is its latent's first two numbers."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.ones(())), []

    def forward(self, x, y=None):
        self.seen.append(y)
        return self.weight * (x[:, :2] if x.shape[1] > 2 else x.sum(1))


def test_hidden_classes_are_hidden_from_both_players_alike():
    method = two_player(hide=partial(hidden, share=0.5, nothing=7))
    method.generator, method.discriminator = Told(), Told()
    list(method.step({**BATCH, "y": torch.arange(8) % 3}, NOW))
    seen = [*method.generator.seen, *method.discriminator.seen]
    assert len(seen) == 5 and all(torch.equal(y, seen[0]) for y in seen)
    assert 0 < (seen[0] == 7).sum() < 8 and all(y in (7, i % 3) for i, y in enumerate(seen[0].tolist()))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_classes_is_hidden(share):
    y = torch.arange(20_000) % 5
    told = hidden(y, share, 5)
    assert float((told == 5).float().mean()) == pytest.approx(share, abs=0.015) and bool(((told == 5) | (told == y)).all())


def test_mode_seeking_by_hand():
    """Images one apart from latents two apart: 1 / (1/2 + 1e-5); the same image from both: 1e5."""
    z, x = torch.zeros(4, 3), torch.zeros(4, 1, 2, 2)
    assert mode_seeking(z, x, z + 2, x + 1).item() == pytest.approx(1 / (0.5 + 1e-5))
    assert mode_seeking(z, x, z - 2, x).item() == pytest.approx(1e5)


@pytest.mark.parametrize("reuse", [False, True])
def test_mode_seeking_is_added_to_the_generators_loss_alone(reuse):
    given = iter(torch.randn(30, 8, 4, generator=torch.Generator().manual_seed(5)))
    method = two_player(diversity=3.0, reuse_fakes=reuse, latent=lambda n: next(given))
    d, g = method.step(BATCH, NOW)
    z = torch.randn(30, 8, 4, generator=torch.Generator().manual_seed(5))[0 if reuse else 1 :]
    x, again = method.generator(z[0]), method.generator(z[1])
    alike = mode_seeking(z[0], x, z[1], again)
    torch.testing.assert_close(g.log["diversity/alike"], alike)
    torch.testing.assert_close(g.loss, losses.logistic.g(method.discriminator(x), None).mean() + 3 * alike)
    assert "diversity/alike" not in d.log


def test_a_generator_that_ignores_its_latent_is_moved_to_heed_it():
    """Without an adversary, the term alone: images that were all but the same move apart."""
    torch.manual_seed(0)
    method = two_player(diversity=1.0)
    method.generator.body[0].weight.data.mul_(1e-2)
    method.loss = losses.Pair(lambda r, f: 0 * (r + f), lambda f, r=None: 0 * f)

    def spread():
        return method.generator(torch.randn(256, 4)).std(0).mean().item()

    before = spread()
    for step in range(60):
        iterate(method, [BATCH], Progress(step, 8 * step, 480))
    assert spread() > 5 * before
