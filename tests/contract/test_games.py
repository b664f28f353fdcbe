"""What the engine promises about every method, for the games that are not plain two-player ones."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch

from ganforge import testing
from ganforge.core.engine import iterate
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.networks.codes import Coded

from .games import BATCHES, GAMES, STEADY
from .test_methods import refuse

each_game = pytest.mark.parametrize("name", GAMES)
RUN = Run(examples=88, batch=8, precision="fp32", layout="contiguous")


class Same:
    """An endless data set of batches that differ by their order alone."""

    def __init__(self, batch):
        self.batch = batch

    def batches(self, size, *, seed=0, start=0, rank=0, world=1, device="cpu") -> Iterator[dict]:
        while True:
            order = torch.randperm(size, generator=torch.Generator().manual_seed(seed * 7919 + start))
            yield {key: value[order] for key, value in self.batch.items()}
            start += 1


class One(Coded):
    """The same latent for everybody."""

    def __call__(self, n):
        return torch.ones(n, 9)


@each_game
def test_an_update_moves_only_its_own_player(name):
    testing.check_updates_move_only_their_player(GAMES[name], BATCHES[name])


@each_game
def test_every_player_learns(name):
    testing.check_all_players_learn(GAMES[name], BATCHES[name])


@each_game
def test_an_interrupted_run_is_bit_identical_to_an_uninterrupted_one(name, tmp_path):
    testing.check_resume(GAMES[name], Same(BATCHES[name]), RUN, tmp_path)


@each_game
def test_accumulation_equals_one_big_batch(name):
    """Where a loss is a mean over examples; feature matching compares the means of a micro-batch, and pulling away its pairs."""
    if name == "semi-supervised":
        pytest.skip("its generator matches the mean of a whole micro-batch")
    latent = One(4, "cpu", 3, 2) if name == "infogan" else lambda n: torch.ones(n, 4)
    options = {"pull_away": 0.0} if name == "ebgan" else {"gain": 0.05, "diversity": 3.0} if name == "began" else {}
    testing.check_accumulation(partial(GAMES[name], latent=latent, optimizer=STEADY, **options), BATCHES[name], parts=4)


def test_nothing_in_a_step_waits_for_the_device(monkeypatch):
    forbidden = ("item", "tolist", "__bool__", "__float__", "__int__", "numpy")
    for name in GAMES:
        method = GAMES[name]()
        iterate(method, [BATCHES[name]], Progress(0, 0, 8))  # optimisers set up their state
        with monkeypatch.context() as patch:
            for attribute in forbidden:
                patch.setattr(torch.Tensor, attribute, refuse(getattr(torch.Tensor, attribute), f"{name}: .{attribute}() in a step"))
            iterate(method, [BATCHES[name]], Progress(1, 8, 32))
