"""What the engine promises about every method."""

import dataclasses
import os
import sys
from functools import partial

import pytest
import torch

from ganforge import losses, testing
from ganforge.core.engine import iterate
from ganforge.core.errors import DivergedError
from ganforge.core.method import Progress, Update
from ganforge.core.run import Run
from ganforge.core.schedule import evenly
from ganforge.core.train import TICKS, train
from ganforge.testing import Nobody

from .toys import METHODS, Points, given_latents, plain_sgd, two_player

each_method = pytest.mark.parametrize("name", METHODS)
BATCH = {"x": torch.randn(8, 2, generator=torch.Generator().manual_seed(1))}
RUN = Run(examples=88, batch=8, precision="fp32", layout="contiguous")


@each_method
def test_an_update_moves_only_its_own_player(name):
    testing.check_updates_move_only_their_player(METHODS[name], BATCH)


@each_method
def test_every_player_learns(name):
    testing.check_all_players_learn(METHODS[name], BATCH)


@each_method
def test_an_interrupted_run_is_bit_identical_to_an_uninterrupted_one(name, tmp_path):
    testing.check_resume(METHODS[name], Points(), RUN, tmp_path)


@pytest.mark.parametrize("name", ["gan", "r3gan"])
def test_interrupted_accumulating_runs_are_bit_identical_too(name, tmp_path):
    testing.check_resume(METHODS[name], Points(), dataclasses.replace(RUN, accumulate=4), tmp_path)


def test_an_interruption_between_readings_keeps_the_history(tmp_path):
    """500 steps give 200 readings of two or three steps: a vote after the third step stops in the middle of the second reading."""
    assert [step for step in range(1, 9) if evenly(Progress(step, 8 * step, 8 * 500), TICKS)] == [3, 5, 8]
    testing.check_resume(METHODS["gan"], Points(), dataclasses.replace(RUN, examples=8 * 500), tmp_path, stop_after=3)


def test_checkpoints_come_by_the_clock_between_readings_too(tmp_path):
    """4000 steps give a reading every 20; with no minutes between checkpoints there is one whenever the clock is looked at."""
    saved = []

    class Noting(Nobody):
        def saved(self, tick):
            saved.append(tick.now.step)

    watcher = Noting(39)
    run = dataclasses.replace(RUN, examples=8 * 4000, save_minutes=0.0)
    train(METHODS["gan"](), Points(), run, folder=tmp_path, device=torch.device("cpu"), watcher=watcher, stop=watcher.stop)
    assert saved == [16, 20, 32, 40]


def test_accumulation_equals_one_big_batch():
    results = []
    for k in (1, 2, 4):
        method = plain_sgd(given_latents(parts=k))
        method.loss = two_player().loss  # a pairing loss pairs within a micro-batch; logistic has no pairs
        iterate(method, [{"x": part} for part in BATCH["x"].chunk(k)], Progress(0, 0, 8))
        results.append(method.state_dict())
    for other in results[1:]:
        for key, value in results[0].items():
            torch.testing.assert_close(other[key], value)


def test_the_accumulation_check_passes_and_can_fail():
    def steady(loss):
        return two_player(loss, partial(torch.optim.SGD, lr=0.1), latent=lambda n: torch.ones(n, 4))

    testing.check_accumulation(lambda: steady(losses.hinge), BATCH, parts=4)
    with pytest.raises(AssertionError, match="differs under accumulation"):  # its reals are averaged within a micro-batch
        testing.check_accumulation(lambda: steady(losses.relativistic_average), BATCH, parts=4)


def test_the_contract_checks_can_fail():
    class Greedy(type(two_player())):
        def step(self, batch, now):
            fake = self.generator(self.latent(8), None)
            yield Update(self.d, self.loss.d(self.discriminator(batch["x"]), self.discriminator(fake)).mean())

    def greedy():
        method = two_player()
        method.__class__ = Greedy
        return method

    with pytest.raises(AssertionError, match="only .*discriminator.* moved"):
        testing.check_updates_move_only_their_player(greedy, BATCH)
    with pytest.raises(AssertionError, match="player generator did not move"):
        testing.check_all_players_learn(greedy, BATCH)


def test_the_check_of_micro_batches_passes_and_can_fail():
    class Counting(type(two_player())):
        """Its generator moves at every second call, not at every second step."""

        calls = 0

        def step(self, batch, now):
            self.calls += 1
            yield from super().step(batch, now._replace(step=self.calls // 2))

    def counting():
        method = two_player(critic_steps=2)
        method.__class__ = Counting
        return method

    testing.check_accumulates(lambda: two_player(critic_steps=2), BATCH)
    with pytest.raises(AssertionError, match="2 micro-batches move"):
        testing.check_accumulates(counting, BATCH)


def test_state_outside_the_state_dict_breaks_the_resume_check(tmp_path):
    def forgetful():
        method, step, count = two_player(), two_player().step, [0]

        def drifting(batch, now, plain=type(method).step):
            count[0] += 1
            yield from plain(method, {"x": batch["x"] + count[0]}, now)

        assert step
        method.step = drifting
        return method

    with pytest.raises(AssertionError, match="not bit-identical"):
        testing.check_resume(forgetful, Points(), RUN, tmp_path)


def test_divergence_is_named_before_any_checkpoint_is_written(tmp_path):
    method = two_player()
    method.discriminator.body[0].weight.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"discriminator/loss.*stopped being a finite number at step 1 .8 examples"):
        train(method, Points(), RUN, folder=tmp_path, device=torch.device("cpu"), watcher=testing.Nobody())
    assert not (tmp_path / "ckpt").exists()


def test_a_method_whose_micro_batches_disagree_is_told_so():
    method = two_player()
    turn = iter([method.d, method.g])

    def step(batch, now):
        player = next(turn)
        yield Update(player, sum(p.sum() for p in player.parameters))

    method.step = step
    with pytest.raises(RuntimeError, match="micro-batches disagree on who moves"):
        iterate(method, [BATCH, BATCH], Progress(0, 0, 8))


def test_a_loss_that_is_no_scalar_is_told_so():
    method = two_player()
    method.step = lambda batch, now: iter([Update(method.d, torch.ones(8))])
    with pytest.raises(RuntimeError, match=r"discriminator loss has shape \(8,\); expected a scalar"):
        iterate(method, [BATCH], Progress(0, 0, 8))


def refuse(original, words):
    def reading(tensor, *rest):
        if f"{os.sep}optim{os.sep}" in sys._getframe(1).f_code.co_filename:
            return original(tensor, *rest)  # optimisers count their steps in tensors on the CPU
        pytest.fail(words)

    return reading


def test_nothing_in_a_step_waits_for_the_device(monkeypatch):
    """Reading a tensor's value (.item(), .tolist(), float()) stalls a GPU; a step must not do it."""
    forbidden = ("item", "tolist", "__bool__", "__float__", "__int__", "numpy")
    for name in METHODS:
        method = METHODS[name]()
        iterate(method, [BATCH], Progress(0, 0, 8))  # optimisers set up their state
        with monkeypatch.context() as patch:
            for attribute in forbidden:
                patch.setattr(torch.Tensor, attribute, refuse(getattr(torch.Tensor, attribute), f"{name}: .{attribute}() in a step"))
            for i in range(4):
                iterate(method, [BATCH], Progress(i, 8 * i, 32))
