"""Augmentation in a game: who sees what, and how strong it becomes."""

from functools import partial

import pytest
import torch
from torch import nn

import ganforge
from ganforge import losses, penalties, testing
from ganforge.core import machine
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.methods.adaptive import EVERY, RAMP, RISE, AdaptiveTwoPlayer, RampedTwoPlayer
from ganforge.methods.two_player import Penalty, TwoPlayer
from ganforge.networks.augment import MOST, START, Adaptive, Change, DiffAugment
from ganforge.runs import case

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


class Sevens(Change):
    def drawn(self, x):
        return lambda given: torch.full_like(given, 7.0)


def test_everything_that_the_discriminator_sees_was_augmented():
    method = make(change=Sevens)
    iterate(method, [next(Pictures().batches(8))], Progress(0, 0, 88))
    assert len(method.discriminator.seen) == 3 and all((x == 7).all() for x in method.discriminator.seen)


class Scaled(Change):
    """Each image times a number of its own, 2, 3 or 4."""

    def drawn(self, x):
        by = torch.randint(2, 5, (len(x), 1, 1, 1))
        self.by = by
        return lambda given: by * given


def test_penalties_are_slopes_of_the_image_before_the_change_through_the_change():
    """d D(by x) / dx = by D'(by x): of a linear critic with slope 1 on 16 pixels, 16 by^2."""
    for of in (penalties.r1, penalties.r2):
        method = make(change=Scaled, penalties=[Penalty(of, 1.0)])
        method.discriminator = Fixed(16.0)
        update = next(method.step(next(Pictures().batches(8)), Progress(0, 0, 88)))
        wanted = (16 * method.augment.by.flatten().float() ** 2 / 2).mean()  # the penalty draws last
        torch.testing.assert_close(update.log[f"penalty/{of.__name__}"], wanted)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_finite_differences_compare_an_image_with_itself_under_one_change(share):
    method = make(penalties=[Penalty(penalties.r1_finite_difference, 1.0, share=share)])
    method.discriminator.seen.clear()
    next(method.step(next(Pictures().batches(8)), Progress(0, 0, 88)))
    *_, shaken, still = method.discriminator.seen
    assert len(still) == 8 * share and still.std() > 0.3
    apart = (shaken - still)[(shaken != 0) & (still != 0)]  # cut out and shifted in, both are 0
    assert 0.02 < float(apart.std()) < 0.08, "the same change, and a noise of 0.05, whose contrast may be halved or half as much again"


def test_exact_penalties_can_be_trained_through_adas_changes():
    """R1 differentiates twice, which torch's own resampling cannot."""
    method = make(AdaptiveTwoPlayer, Adaptive, penalties=[Penalty(penalties.r1, 1.0), Penalty(penalties.r2, 1.0)])
    method.augment.strength[0].data.fill_(1.0)
    update = next(method.step(next(Pictures().batches(8)), Progress(0, 0, 88)))
    update.loss.backward(inputs=update.player.parameters)
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in method.discriminator.parameters() if p.ndim > 1)


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


def test_an_evaluation_on_images_that_steered_the_augmentation_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "speed", lambda *a, **k: 1000.0)
    small = {"width": 8, "z": 8, "examples": 32, "batch": 16, "precision": "fp32", "layout": "contiguous", "threads": 1}
    for augment, told in (("ada", 1), ("ramp", 0)):
        folder = ganforge.train("digits", "dcgan", augment=augment, out=str(tmp_path / augment), **small).folder
        found = case.resolve(folder, "", 0, "", 0)
        assert found.split == "held-out" and sum("augmentation was made as strong" in note for note in found.notes) == told


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
