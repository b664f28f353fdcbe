"""Fault 28: a number that is none. Noticed at its step, rolled back, tried otherwise, given up with a diagnosis."""

import dataclasses
import math

import pytest
import torch
from torch import nn

import ganforge
from ganforge.core import train as training
from ganforge.core.ema import Average
from ganforge.core.engine import iterate, moved_on
from ganforge.core.errors import DivergedError
from ganforge.core.finite import Finite, not_finite
from ganforge.core.method import Progress
from ganforge.data.images import Images
from ganforge.recipes import find
from ganforge.runs import health
from tests.contract.toys import two_player

from .runs import newest, quick, result, same, state, train

LOSS = "generator/loss"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)


def poison(monkeypatch, what, at, times=99):
    """Make something infinite in the training step after which `at(now)` steps are done, the first `times` times."""
    left = [times]

    def poisoned(method, micro, now, **options):
        numbers = iterate(method, micro, now, **options)
        if left[0] and now.step + 1 == at:
            left[0] -= 1
            if what == "loss":
                numbers[LOSS] = numbers[LOSS] * math.nan
            elif what == "weight":
                next(method.generator.parameters()).data.view(-1)[0] = math.inf
            elif what == "moment":
                player = method.players[1]
                player.optimizer.state[player.parameters[0]]["exp_avg_sq"].view(-1)[0] = math.inf
            else:
                update = next(method.step(micro[0], now))
                (update.loss * math.inf).backward(inputs=update.player.parameters)
                update.player.optimizer.step()
        return numbers

    monkeypatch.setattr(training, "iterate", poisoned)


@pytest.mark.parametrize("what", ["loss", "weight", "gradient", "moment"])
def test_fault_28_it_is_noticed_at_its_step_rolled_back_and_survived(tmp_path, monkeypatch, capsys, what):
    poison(monkeypatch, what, at=7, times=1)
    run = train(tmp_path / "run")
    out = " ".join(capsys.readouterr().out.split())
    assert run.finished and "at step 7 (112 examples)" in out
    assert "back to the last good state, with other random numbers and learning rates x 0.5 (1 of 3)" in out
    assert state(run.folder)["restarts"] == 1
    tensors, history = result(run.folder)
    assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())
    assert [line["step"] for line in history] == list(range(1, 13)), "the readings of the course that was left are gone"


def test_fault_28_after_three_times_it_ends_with_a_diagnosis_and_the_model_kept(tmp_path, monkeypatch, capsys):
    poison(monkeypatch, "loss", at=7)
    with pytest.raises(DivergedError) as caught:
        train(tmp_path / "run")
    told = str(caught.value)
    assert caught.value.exit_code == 4
    assert "generator/loss stopped being a finite number at step 7 (112 examples)" in told
    out = " ".join(capsys.readouterr().out.split())
    assert "at step 7 (112 examples). The step before was still healthy: discriminator/loss" in out and "(3 of 3)" in out
    assert "rolled back 3 times" in told and "--lr 2e-05" in told and f"the best model is in {tmp_path / 'run' / 'best'}" in told
    assert state(tmp_path / "run")["step"] < 7
    assert ganforge.load(tmp_path / "run").generate([1])


def test_fault_28_the_first_rollback_takes_the_newest_checkpoint_and_the_next_the_one_before(tmp_path, monkeypatch):
    began = []
    plain = training._resume

    def resume(*arguments):
        before = plain(*arguments)
        began.append((before.step, arguments[-1].number))
        return before

    monkeypatch.setattr(training, "_resume", resume)
    poison(monkeypatch, "loss", at=7)
    monkeypatch.setattr(training._Saver, "due", lambda self: not began or began[-1][1] == 0)
    with pytest.raises(DivergedError):
        train(tmp_path / "run")
    assert began == [(0, 0), (6, 1), (5, 2), (5, 3)]


def test_fault_28_a_run_that_was_given_up_is_not_rolled_back_three_times_again(tmp_path, monkeypatch, capsys):
    poison(monkeypatch, "loss", at=7)
    with pytest.raises(DivergedError):
        train(tmp_path / "run")
    assert "error: training diverged" in (tmp_path / "run" / "log.txt").read_text().splitlines()[-1]
    capsys.readouterr()
    with pytest.raises(DivergedError, match="rolled back 3 times"):
        ganforge.resume(tmp_path / "run")
    assert "back to the last good state" not in " ".join(capsys.readouterr().out.split())


def test_fault_28_a_run_that_was_rolled_back_resumes_bit_for_bit(tmp_path, monkeypatch):
    """Checkpoints come at every step here. (Where a run is stopped decides which state a later divergence rolls back to.)"""
    for name in ("whole", "cut"):
        with monkeypatch.context() as patch:
            poison(patch, "loss", at=4, times=1)
            train(tmp_path / name)
    for place in sorted((tmp_path / "cut" / "ckpt").glob("[0-9]*"))[-1:]:
        (place / "state.json").write_text("damaged, so that the one before has to be taken")
    assert ganforge.resume(tmp_path / "cut").finished
    assert state(tmp_path / "cut")["restarts"] == 1
    same(tmp_path / "whole", tmp_path / "cut")


def test_fault_28_a_restart_draws_other_numbers_and_halves_the_learning_rate():
    assert moved_on(5, 0) == 5 and len({moved_on(5, k) for k in range(4)}) == 4 and 0 <= moved_on(5, 1) < 2**63
    moves = []
    for caution in (1.0, 0.5):
        torch.manual_seed(0)
        method = two_player(
            optimizer=lambda p: torch.optim.SGD(p, lr=9.0), schedule=lambda now: {"lr": 0.1}, latent=lambda n: torch.ones(n, 4)
        )
        before = method.discriminator.body[0].weight.clone()
        iterate(method, [{"x": torch.ones(8, 2)}], Progress(0, 0, 8), caution=caution)
        moves.append(method.discriminator.body[0].weight - before)
        assert method.players[0].optimizer.param_groups[0]["lr"] == 0.1, "the schedule's own rate is what is stored"
    torch.testing.assert_close(moves[1], moves[0] / 2)


def test_fault_28_a_fault_names_what_came_first_and_keeps_the_last_healthy_numbers():
    method = two_player()
    finite = Finite(method)
    finite.note(1, {"a/loss": torch.tensor(2.0)})
    assert finite.fault(wait=False) is None
    method.discriminator.body[0].bias.data[0] = math.nan
    finite.note(2, {"a/loss": torch.tensor(math.inf)})
    finite.note(3, {"a/loss": torch.tensor(1.0)})
    fault = finite.fault(wait=False)
    assert fault.step == 2 and fault.wrong == ("a/loss", "the weight discriminator.body.0.bias") and fault.healthy == {"a/loss": 2.0}


class Late:
    """A device's event: the numbers have arrived when somebody waits."""

    def __init__(self):
        self.there = False

    def query(self):
        return self.there

    def synchronize(self):
        self.there = True


def test_fault_28_numbers_on_their_way_are_not_waited_for_until_a_checkpoint_or_picture_is_due():
    finite = Finite(two_player())
    finite.note(1, {"a/loss": torch.tensor(math.nan)})
    step, *rest, _ = finite._waiting.popleft()
    finite._waiting.append((step, *rest, Late()))
    assert finite.fault(wait=False) is None and len(finite._waiting) == 1
    assert finite.fault(wait=True).step == 1


def test_fault_28_numbers_on_a_device_without_such_events_stay_there_until_somebody_waits():
    finite = Finite(two_player().to("meta"))
    finite.note(1, {"a/loss": torch.tensor(math.nan, device="meta")})
    assert finite.fault(wait=False) is None and len(finite._waiting) == 1
    step, logged, values, event = finite._waiting.popleft()
    assert values.device.type == "meta"
    finite._waiting.append((step, logged, torch.full(values.shape, math.nan), event))
    assert finite.fault(wait=False).step == 1


def test_fault_28_averages_and_moments_are_looked_at_before_they_are_saved():
    method = two_player()
    iterate(method, [{"x": torch.ones(8, 2)}], Progress(0, 0, 8))
    average = Average(method.exports, 0.1)
    assert not_finite(method, average) == ()
    nn.init.constant_(average.networks["generator"].body[0].bias, math.inf)
    player = method.players[0]
    player.optimizer.state[player.parameters[0]]["exp_avg_sq"][0] = math.nan
    method.generator.register_buffer("running_var", torch.tensor([math.inf]))
    assert not_finite(method, average) == (
        "the state generator.running_var",
        "the average generator.body.0.bias",
        "exp_avg_sq 0 of the discriminator's optimiser",
    )


def test_fault_28_nothing_that_is_not_finite_is_ever_written(tmp_path, monkeypatch):
    poison(monkeypatch, "weight", at=7)
    with pytest.raises(DivergedError, match="the weight generator"):
        train(tmp_path / "run")
    assert newest(tmp_path / "run").name == f"{6 * 16:012d}"
    assert not [p for p in (tmp_path / "run" / "samples").iterdir() if int(p.stem.split("_")[1]) > 6 * 16]


def test_a_guard_that_fails_is_told_once_and_never_ends_a_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(health.Guard, "look", lambda self, tick: 1 / 0)
    run = train(tmp_path / "run")
    assert capsys.readouterr().out.count("the guard failed, the training goes on: division by zero") == 1
    assert run.finished and len(run.history()) == 12


@pytest.mark.parametrize("fault", ["no labels", "no examples"])
def test_held_out_examples_that_cannot_be_used_count_as_none(fault):
    recipe = find("cgan")(data=Images(path="digits"))
    data = recipe.dataset()
    held = data.held_out
    less = {"labels": None} if fault == "no labels" else {"images": held.images[:0], "labels": held.labels[:0]}
    run = {"examples": 16 * 12, "batch": 16}
    method = recipe.method(dataclasses.replace(data.spec, device="cpu"))
    assert health.Guard(method, data, run).eye.held is not None
    assert health.Guard(method, dataclasses.replace(data, held_out=dataclasses.replace(held, **less)), run).eye.held is None
