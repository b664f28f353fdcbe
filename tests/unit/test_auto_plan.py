"""What `auto` and the start-up probe choose, by a clock that is told what to say."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from ganforge.core import machine
from ganforge.core.run import Run
from ganforge.data.images import Images
from ganforge.data.spec import DataSpec
from ganforge.networks.image.r3 import Block
from ganforge.recipes.auto import IMAGES_PER_CHANNEL, WIDTHS, Auto, counted, gamma
from ganforge.recipes.r3gan import R3GAN
from ganforge.recipes.r3gan_cifar10 import R3GANCIFAR10

SPEC = DataSpec(shape=(1, 28, 28), count=1000, classes=10)


def settled(monkeypatch, rates, **options):
    """What `settle` makes of {(layout, precision): examples per second}."""
    seen = SimpleNamespace(layout="")
    monkeypatch.setattr(machine, "layout", lambda method, name: setattr(seen, "layout", name))
    monkeypatch.setattr(machine, "speed", lambda method, data, run, device, seconds=1.0: rates[seen.layout, run.precision])
    run = Run(minutes=1.0, threads=1, **options)
    return machine.settle(lambda: None, None, run, torch.device("cpu"))


@pytest.mark.parametrize(("gain", "precision"), [(1.05, "fp32"), (machine.BF16_GAIN + 0.01, "bf16")])
def test_bf16_is_taken_only_where_it_is_clearly_faster(monkeypatch, gain, precision):
    rates = {(order, way): 100.0 * (gain if way == "bf16" else 1) for order in ("contiguous", "channels_last") for way in ("fp32", "bf16")}
    assert settled(monkeypatch, rates)[0].precision == precision


@pytest.mark.parametrize(("last", "order"), [(90.0, "contiguous"), (110.0, "channels_last")])
def test_the_faster_layout_is_taken_and_the_budget_follows_its_speed(monkeypatch, last, order):
    rates = {("contiguous", "fp32"): 100.0, ("channels_last", "fp32"): last}
    run, rate, _ = settled(monkeypatch, rates, precision="fp32")
    assert (run.layout, rate) == (order, max(100.0, last))
    assert run.examples == int(rate * 60 * machine.OVERHEAD) // run.batch * run.batch


def test_what_is_given_is_not_tried(monkeypatch):
    run, _, notes = settled(monkeypatch, {("contiguous", "bf16"): 1.0}, precision="bf16", layout="contiguous", examples=640)
    assert (run.precision, run.layout, run.examples, notes) == ("bf16", "contiguous", 640, [])


def test_for_a_few_steps_nothing_is_compared(monkeypatch):
    rates = {("contiguous", "fp32"): 1.0}  # no other pair has a speed
    run, _, notes = settled(monkeypatch, rates, batch=16, examples=machine.FEW * 16)
    assert (run.precision, run.layout) == ("fp32", "contiguous") and notes[0].startswith("fp32 and contiguous weights, not compared")
    with pytest.raises(KeyError):
        settled(monkeypatch, rates, batch=16, examples=machine.FEW * 16 + 1)


def planned(rate, spec=SPEC, minutes=10.0, **options):
    recipe = Auto(data=Images(path="x"), run=Run(minutes=minutes), **options)
    return recipe.plan(spec, rate)


@pytest.mark.parametrize("wanted", WIDTHS)
def test_the_widest_networks_that_see_enough_images_are_taken(wanted):
    """Twice as wide is four times as slow; at `wanted` the speed just suffices."""
    enough = IMAGES_PER_CHANNEL * wanted / (600 * machine.OVERHEAD)
    chosen, notes = planned(lambda candidate: 1.001 * enough * (wanted / candidate.width) ** 2)
    assert chosen.width == wanted and f"width {wanted}: sees" in " ".join(notes)
    assert chosen.lr == pytest.approx(1e-3 * min(1, 48 / wanted), abs=1e-6)


def test_what_does_not_fit_or_is_too_slow_gives_the_smallest_networks_and_says_so():
    chosen, notes = planned(lambda candidate: 0.0)
    assert chosen.width == WIDTHS[0] and "the smallest there are; 16 would see 0 of the 24 k that it needs" in " ".join(notes)


def test_images_are_counted_one_by_one_where_they_are_few():
    assert [counted(images) for images in (640, 9_999, 10_000, 24_000)] == ["640", "9,999", "10 k", "24 k"]
    chosen = Auto(data=Images(path="x"), run=Run(examples=640)).plan(SPEC, lambda candidate: 1e9)[1]
    assert "16 would see 640 of the 24 k that it needs" in " ".join(chosen)


def test_what_the_user_gives_stays():
    def never(candidate):
        raise AssertionError("nothing was to be measured")

    chosen, _ = planned(never, width=40, lr=3e-4, penalty_weight=7.0, group=8)
    assert (chosen.width, chosen.lr, chosen.penalty_weight, chosen.group) == (40, 3e-4, 7.0, 8)


@pytest.mark.parametrize(("device", "group"), [("cpu", 0), ("cuda", 16)])
def test_convolutions_are_those_that_are_quick_on_the_device_and_the_choice_is_kept(device, group):
    spec = dataclasses.replace(SPEC, device=device)
    chosen, notes = Auto(data=Images(path="x")).plan(spec, lambda candidate: 1e9)
    assert chosen.group == group
    assert notes[0] == f"3x3 convolutions of {group or 'all'} channels together: quick on a {device}"
    assert chosen.plan(dataclasses.replace(SPEC, device="cuda" if device == "cpu" else "cpu"), lambda candidate: 1e9)[0].group == group


@pytest.mark.parametrize("kind", [R3GAN, R3GANCIFAR10])
def test_r3gan_has_the_papers_groups_on_every_device(kind):
    recipe = kind(data=Images(path="x"))
    assert recipe.plan(SPEC, lambda candidate: 1.0) == (recipe, []), "nothing is left to decide"
    for device in ("cpu", "cuda"):
        pair = recipe.pair(dataclasses.replace(SPEC, device=device))
        with torch.device("meta"):
            for network in (pair.generator(SPEC.shape, 64, recipe.width), pair.discriminator(SPEC.shape, recipe.width)):
                blocks = [module for module in network.modules() if isinstance(module, Block)]
                assert blocks and {b.spatial.in_channels // b.spatial.groups for b in blocks} == {16}


def test_a_dense_block_of_the_papers_width_has_nine_times_the_weights():
    with torch.device("meta"):
        grouped, dense = (sum(p.numel() for p in Block(768, 2, group, 1).parameters()) for group in (16, 0))
    assert dense / grouped == pytest.approx(9, abs=0.3)


@pytest.mark.parametrize(("side", "weight"), [(8, 0.15), (32, 0.15), (64, 2.0), (128, 15.0), (256, 100.0)])
def test_the_penalty_weight_goes_through_its_anchor_points_and_is_doubled_for_grey(side, weight):
    assert gamma(side, 3) == weight and gamma(side, 1) == 2 * weight
    assert gamma(90, 3) == pytest.approx(2.0 * (15 / 2) ** 0.4918, rel=1e-3)
