"""Schedules, averages, meters, optimisers, run options: the small parts of the engine against values worked by hand."""

import inspect
import math
import platform
import re

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganforge.core import allocator, machine, optim, schedule
from ganforge.core.ema import Average
from ganforge.core.errors import UsageError, nearest
from ganforge.core.log import Meter
from ganforge.core.method import Progress
from ganforge.core.run import Run
from ganforge.core.train import micro_batches
from ganforge.runs import health, judge, live


def at(fraction):
    return Progress(0, int(1000 * fraction), 1000)


@pytest.mark.parametrize("make", [schedule.cosine, schedule.linear])
def test_schedules_start_end_and_halve_where_they_should(make):
    s = make(3.0, 1.0)
    assert s(at(0)) == 3.0 and s(at(1)) == pytest.approx(1.0, abs=1e-12) and s(at(0.5)) == pytest.approx(2.0)
    assert s(Progress(0, 5000, 1000)) == pytest.approx(1.0, abs=1e-12)  # past the end it stays
    assert s(Progress(0, 5, 0)) == 3.0  # no budget known: as at the start


def test_a_cosine_is_flat_at_both_ends_and_a_line_is_not():
    assert schedule.cosine(1, 0)(at(0.25)) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert schedule.linear(1, 0)(at(0.25)) == pytest.approx(0.75)


def test_a_number_is_a_schedule_that_does_not_move():
    assert schedule.value(2.5, at(0.3)) == 2.5 and schedule.value(schedule.linear(0, 1), at(0.3)) == pytest.approx(0.3)


def averaged(half_life, start=0.0, to=1.0):
    net = nn.BatchNorm1d(1)
    nn.init.constant_(net.weight, start)
    average = Average({"generator": net}, half_life)
    nn.init.constant_(net.weight, to)
    return net, average, average.networks["generator"]


def test_after_one_half_life_the_average_is_half_way():
    _, average, mean = averaged(0.05)
    average.update(Progress(1, 1000, 10_000), examples=50)  # 5 % of the 1000 seen
    assert mean.weight.item() == pytest.approx(0.5)
    average.update(Progress(2, 1000, 10_000), examples=100)  # two more
    assert mean.weight.item() == pytest.approx(1 - 0.5**3)


def test_the_averages_decay_is_the_formula_of_the_paper_step_by_step():
    net, average, mean = averaged(0.1)
    by_hand = 0.0
    for step in range(1, 30):
        nn.init.constant_(net.weight, math.sin(step))
        average.update(Progress(step, 8 * step, 240), 8)
        beta = 0.5 ** (8 / (0.1 * 8 * step))
        by_hand = beta * by_hand + (1 - beta) * math.sin(step)
    assert mean.weight.item() == pytest.approx(by_hand, rel=1e-5)


def test_an_average_that_begins_anew_forgets_what_was_before():
    _, average, mean = averaged(0.05)
    average.update(Progress(1, 1000, 10_000), 50, since=0.09)  # 100 seen since: ten half-lives of 5
    assert mean.weight.item() == pytest.approx(1 - 0.5**10)


def test_the_average_of_a_resting_network_stays_and_the_others_move():
    net, other = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    average = Average({"generator": net, "kept": other}, 0.05)
    for network in (net, other):
        nn.init.constant_(network.weight, 3.0)
        network.num_batches_tracked.fill_(7)
    average.update(Progress(1, 1000, 10_000), 50, ("kept",))
    moved, kept = (average.networks[name] for name in ("generator", "kept"))
    assert moved.weight.item() == pytest.approx(2.0) and moved.num_batches_tracked.item() == 7
    assert kept.weight.item() == 1.0 and kept.num_batches_tracked.item() == 0


def test_counters_are_copied_and_running_statistics_averaged():
    net, average, mean = averaged(0.05)
    net.num_batches_tracked.fill_(7)
    net.running_mean.fill_(4.0)
    average.update(Progress(1, 1000, 10_000), 50)
    assert mean.num_batches_tracked.item() == 7 and mean.running_mean.item() == pytest.approx(2.0)


def test_an_average_of_spectral_norms_has_norm_one():
    """Averaged directions would be shorter than one, and weights divided by the norm they give too large."""
    torch.manual_seed(0)
    net = spectral_norm(nn.Linear(8, 8))
    average = Average({"net": net}, half_life=1.0)
    for step in range(20):
        net.parametrizations.weight[0]._u.copy_(nn.functional.normalize(torch.randn(8), dim=0))  # the leading direction turns
        net.parametrizations.weight[0]._v.copy_(nn.functional.normalize(torch.randn(8), dim=0))
        average.update(Progress(step, 64 * (step + 1), 64 * 20), 64)
    u, v = (average.networks["net"].parametrizations.weight[0].get_buffer(name) for name in ("_u", "_v"))
    assert float(u.norm()) == pytest.approx(1, abs=1e-5) and float(v.norm()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("half_life", "seen"), [(0.0, 1000), (0.05, 0)])
def test_without_a_half_life_the_average_is_the_network_bit_for_bit(half_life, seen):
    net, average, mean = averaged(half_life, start=0.1, to=1 / 3)
    average.update(Progress(1, seen, 10_000), 50)
    assert torch.equal(mean.weight, net.weight)


def test_the_average_is_a_copy_that_is_not_trained():
    net, average, mean = averaged(0.05)
    assert mean is not net and not mean.training and net.training and not any(p.requires_grad for p in mean.parameters())
    average.update(Progress(1, 100, 1000), 10)
    assert net.weight.item() == 1.0


def test_a_meter_gives_means_and_forgets_only_when_told():
    meter = Meter()
    assert meter.read() == {}
    for value in (1.0, 2.0, 6.0):
        meter.add({"a": torch.tensor(value)})
    meter.add({"b": torch.tensor(5.0)})  # a player that moves now and then
    assert meter.read() == meter.read() == {"a": 3.0, "b": 5.0}
    meter.clear()
    assert meter.read() == {}


def test_a_meter_survives_a_checkpoint_in_the_middle_of_a_reading():
    one, two = Meter(), Meter()
    for value in (0.1, 0.7):
        one.add({"a": torch.tensor(value)})
    two.add_all({key.removeprefix("meter/"): t for key, t in one.tensors().items()}, torch.device("cpu"))
    for meter in (one, two):
        meter.add({"a": torch.tensor(0.3)})
    assert one.read() == two.read()


def test_a_meter_takes_its_numbers_back_to_the_device_where_more_will_come_from():
    meter = Meter()
    meter.add_all({"a": torch.tensor([0.1, 0.7])}, torch.device("meta"))  # stands in for a GPU: mixing it with the CPU is an error
    meter.add({"a": torch.tensor(0.3, device="meta")})
    assert meter.tensors()["meter/a"].device.type == "meta" and len(meter.tensors()["meter/a"]) == 3


def test_the_time_left_for_training_is_what_evaluations_and_gaps_leave():
    assert machine.OVERHEAD < 1 - judge.SHARE - health.SHARE


def test_freed_memory_is_kept_only_for_training_on_a_cpu():
    assert not allocator.keep_freed("cuda")
    assert allocator.keep_freed("cpu") == (platform.libc_ver()[0] == "glibc")


TRAINS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
)


@pytest.mark.parametrize("name", TRAINS)
def test_every_optimiser_of_torch_moves_weights(name):
    layer = nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    made = optim.optimizer(name, 0.01, (0.3, 0.8))(list(layer.parameters()))
    layer(torch.ones(1, 4)).sum().backward()
    made.step()
    assert type(made).__name__ == name and not torch.equal(before, layer.weight) and made.param_groups[0]["lr"] == 0.01


def test_betas_reach_only_optimisers_that_know_them():
    parameters = list(nn.Linear(2, 2).parameters())
    assert optim.optimizer("AdamW", 0.1, (0.3, 0.8))(parameters).param_groups[0]["betas"] == (0.3, 0.8)
    assert "betas" not in optim.optimizer("RMSprop", 0.1, (0.3, 0.8))(parameters).param_groups[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Adm", "Did you mean 'Adam'"),
        ("adam", "Did you mean 'Adam'"),
        ("LBFGS", "cannot train a GAN"),
        ("SparseAdam", "cannot train"),
        ("Optimizer", "is not an optimiser"),
        ("Muon", "cannot train"),
        ("_Adam", "is not in torch.optim"),
        ("lr_scheduler", "is not in torch.optim"),
    ],
)
def test_other_optimisers_are_refused(name, text):
    with pytest.raises(UsageError, match=text):
        optim.optimizer(name, 0.1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"minutes": -1}, "--minutes must be a number above 0; got -1"),
        ({"minutes": float("nan")}, "--minutes must be a number"),
        ({"minutes": float("inf")}, "--minutes must be a number"),
        ({"minutes": 0.0}, "--minutes must be a number above 0; got 0.0"),
        ({"minutes": 0.0, "examples": 64}, "--minutes must be a number above 0"),
        ({"save_minutes": -0.5}, "--save-minutes must be a number of at least 0"),
        ({"examples": 0}, "--examples must be at least 1; got 0"),
        ({"examples": -1}, "--examples must be at least 1; got -1"),
        ({"batch": -1}, "--batch must be at least 0; got -1"),
        ({"accumulate": 0}, "--accumulate must be at least 1"),
        ({"evaluate": "none:random"}, "--evaluate none measures nothing, so no features go with it; got 'none:random'"),
        ({"batch": 10, "accumulate": 3}, "--accumulate 3 does not divide --batch 10"),
        ({"threads": -1}, "--threads must be at least 0"),
        ({"snapshots": 0}, "--snapshots must be at least 1"),
        ({"ema": 1.5}, "--ema is a fraction"),
        ({"ema": float("nan")}, "--ema is a fraction"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"seed": 2**63}, "--seed must be from 0"),
        ({"precision": "fp16"}, "--precision must be one of auto, fp32, bf16; got 'fp16'. Did you mean"),
        ({"layout": "nchw"}, "--layout must be one of"),
    ],
)
def test_a_run_refuses_what_cannot_be(options, text):
    with pytest.raises(UsageError, match=text):
        Run(**options)


def test_a_run_takes_the_extremes():
    assert Run(minutes=1e-9, examples=1, batch=1, ema=0, seed=2**63 - 1) and Run(ema=1, batch=7, accumulate=7, save_minutes=0)


@pytest.mark.parametrize("total", [1, 7, 199, 200, 201, 12345])
def test_readings_are_spread_evenly_and_the_last_step_is_one(total):
    ticks = [step for step in range(1, total + 1) if schedule.evenly(Progress(step, step * 8, total * 8 - 3), 200)]
    assert len(ticks) == min(total, 200) and ticks[-1] == total
    gaps = {b - a for a, b in zip([0, *ticks], ticks, strict=False)}
    assert max(gaps) - min(gaps) <= 1


def test_micro_batches_are_the_batch_in_order():
    batch = {"x": torch.arange(12).view(6, 2), "y": torch.arange(6)}
    parts = micro_batches(batch, 3)
    assert len(parts) == 3 and all(torch.equal(torch.cat([p[key] for p in parts]), batch[key]) for key in batch)
    assert micro_batches(batch, 1)[0] is batch


def test_the_nearest_name_ignores_case_and_hyphens_and_may_be_nothing():
    assert nearest("WGAN_GP", ["wgan-gp", "gan"]) == " Did you mean 'wgan-gp'?"
    assert nearest("xyzzy", ["wgan-gp", "gan"]) == ""


def test_the_live_line_tells_the_memory_that_training_uses(monkeypatch):
    now = Progress(1, 16, 160)
    assert re.search(r"img/s  \d+\.\d GB$", live.describe(now, {}, 8.0))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 2_340_000_000)
    assert live.describe(now, {}, 8.0).endswith("  2.3 GB on the GPU")
