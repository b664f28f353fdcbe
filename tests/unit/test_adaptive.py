"""Augmentation in a game: who sees what, and how strong it becomes."""

from functools import partial

import pytest
import torch
from torch import nn

from ganforge import losses, penalties, testing
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.methods.adaptive import EVERY, RAMP, RISE, AdaptiveTwoPlayer, RampedTwoPlayer
from ganforge.methods.two_player import Penalty, TwoPlayer
from ganforge.networks.augment import MOST, START, Adaptive, DiffAugment

RUN = Run(examples=88, batch=8, precision="fp32", layout="contiguous")


class Drawer(nn.Module):
    """(n, 4) -> (n, 1, 4, 4)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4)))

    def forward(self, z, y=None):
        return self.body(z)


class Judge(nn.Module):
    """(n, 1, 4, 4) -> (n,); notes what it was shown."""

    def __init__(self):
        super().__init__()
        self.body, self.seen = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)), []

    def forward(self, x, y=None):
        self.seen.append(x.detach())
        return self.body(x).squeeze(1)


class Pictures:
    """Endless 4 x 4 pictures with the interface of real data; with `held`, held-out ones beside them."""

    def __init__(self, held: bool = False):
        self.held = held

    def batches(self, size, *, seed=0, start=0, rank=0, world=1, device="cpu"):
        step = start
        while True:
            draw = torch.Generator().manual_seed(seed * 7919 + step)
            batch = {"x": torch.randn(size, 1, 4, 4, generator=draw)}
            yield batch | ({"held": torch.randn(size, 1, 4, 4, generator=draw)} if self.held else {})
            step += 1


def make(kind=TwoPlayer, change=DiffAugment, loss=losses.logistic, **options):
    adam = partial(torch.optim.Adam, lr=1e-2)
    return kind(Drawer(), Judge(), latent=lambda n: torch.randn(n, 4), loss=loss, optimizer=adam, augment=change(), **options)


MAKERS = {
    "diffaugment": make,
    "ada": partial(make, AdaptiveTwoPlayer, Adaptive),
    "ramp": partial(make, RampedTwoPlayer, Adaptive),
    "ada, relativistic": partial(
        make, AdaptiveTwoPlayer, Adaptive, losses.relativistic, penalties=[Penalty(penalties.r1, 1.0)], critic_steps=2
    ),
}
each_maker = pytest.mark.parametrize("name", MAKERS)


@each_maker
def test_augmented_games_keep_the_contract(name, tmp_path):
    batch = next(Pictures(held=True).batches(16))
    testing.check_updates_move_only_their_player(MAKERS[name], batch)
    testing.check_all_players_learn(MAKERS[name], batch)
    testing.check_resume(MAKERS[name], Pictures(held="relativistic" in name), RUN, tmp_path)


def test_everything_that_the_discriminator_sees_was_augmented():
    method = make(change=lambda: nn.Threshold(9.0, 7.0))  # all that is below 9 becomes 7
    iterate(method, [next(Pictures().batches(8))], Progress(0, 0, 88))
    assert len(method.discriminator.seen) == 3 and all((x == 7).all() for x in method.discriminator.seen)


def test_penalties_look_where_the_discriminator_was_shown():
    finite = Penalty(penalties.r1_finite_difference, 1.0)
    method = make(penalties=[finite])
    method.discriminator.seen.clear()
    next(method.step(next(Pictures().batches(8)), Progress(0, 0, 88)))
    real, _, shaken = method.discriminator.seen  # the logits of the real ones are those of the loss
    assert 0.03 < float((shaken - real).std()) < 0.07, "the same augmentation, and a noise of 0.05"


def test_the_generator_learns_through_the_augmentation():
    method = make()
    *_, update = method.step(next(Pictures().batches(8)), Progress(0, 0, 88))
    update.loss.backward(inputs=update.player.parameters)
    assert all(p.grad.abs().sum() > 0 for p in method.generator.parameters())


class Fixed(nn.Module):
    """Logits that depend on the mean of a picture alone: `steep` times it, plus a level."""

    def __init__(self, steep=1.0, level=0.0):
        super().__init__()
        self.steep, self.level = nn.Parameter(torch.tensor(steep)), level

    def forward(self, x, y=None):
        return self.steep * x.mean((1, 2, 3)) + self.level


def excess(real, fake, held=None, **critic):
    """What the third player of a game sees in pictures of these levels, nothing being augmented."""
    method = make(AdaptiveTwoPlayer, Adaptive)
    method.augment.strength[0].data.zero_()
    method.discriminator = Fixed(**critic)
    method.generator = nn.Sequential(nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4)))
    for p in method.generator.parameters():
        p.data.zero_()
    method.generator[0].bias.data.fill_(fake)
    method.generator.forward = lambda z, y=None, body=nn.Sequential(*method.generator): body(z)
    batch = {"x": torch.tensor(real).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)}
    if held is not None:
        batch["held"] = torch.full((4, 1, 4, 4), held)
    step = method.step(batch, Progress(0, 0, 88))
    next(step)
    method.discriminator.level += 3.0  # it moves; what was logged before and what is asked now must be of one discriminator
    return float(next(step).log["strength/excess"])


@pytest.mark.parametrize("level", [0.0, 1000.0, -7.0])
def test_the_sign_of_real_logits_is_taken_about_the_middle(level):
    """Of reals 1, 1, 1, -1 against fakes at -1 the middle is -0.25: three above, 2 * 0.75 - 1 - 0.6."""
    assert excess([1.0, 1.0, 1.0, -1.0], -1.0, level=level) == pytest.approx(-0.1, abs=1e-6)
    assert excess([1.0, 1.0, 1.0, 1.0], -1.0, level=level) == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 1000.0])
def test_held_out_images_tell_better_where_there_are_some(level):
    """Half of the way from real to fake is allowed: held-out images at -0.5 lie further, those at 0.5 do not."""
    assert excess([1.0, 1.0], -1.0, held=-0.5, level=level) == pytest.approx(1.5 - 1, abs=1e-3)
    assert excess([1.0, 1.0], -1.0, held=0.5, level=level) == pytest.approx(0.5 - 1, abs=1e-3)


@pytest.mark.parametrize(("gap", "end"), [(1.0, MOST), (-1.0, 0.0)])
def test_the_strength_walks_at_its_pace_and_stays_in_bounds(gap, end):
    method = make(AdaptiveTwoPlayer, Adaptive)
    method._excess = lambda seen, batch: torch.tensor(gap)
    total, batches, walked = 8 * 400, Pictures().batches(8), []
    for step in range(100):
        iterate(method, [next(batches)], Progress(step, 8 * step, total))
        walked.append(float(method.augment.p))
    assert walked[0] == pytest.approx(START)
    assert walked[EVERY] - walked[0] == pytest.approx(gap * EVERY / (RISE * 400))
    assert walked[-1] == pytest.approx(end)


def test_a_ramp_is_a_function_of_the_budget():
    method = make(RampedTwoPlayer, Adaptive)
    told = [float(iterate(method, [next(Pictures().batches(8))], Progress(i, 8 * i, 80))["strength/p"]) for i in (0, 5, 10)]
    assert told == pytest.approx([0.0, RAMP / 2, RAMP])


def test_accumulation_moves_the_strength_once():
    ends = []
    for parts in (1, 4):
        method = make(AdaptiveTwoPlayer, Adaptive)
        method._excess = lambda seen, batch: torch.tensor(1.0)
        batch = next(Pictures().batches(8))
        cut = [{key: value.chunk(parts)[i] for key, value in batch.items()} for i in range(parts)]
        iterate(method, cut, Progress(EVERY, 8 * EVERY, 8 * 400))
        ends.append(float(method.augment.p))
    assert ends[0] == pytest.approx(ends[1]) and ends[0] > START
