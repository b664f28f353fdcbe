"""Restoration: who moves in which phase and how fast, the faithful network, what is averaged, what is measured; and that it restores."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import Adam

from ganforge import losses, testing
from ganforge.core import checkpoint, machine, memory
from ganforge.core import recipe as recipes_json
from ganforge.core.ema import Average
from ganforge.core.engine import iterate
from ganforge.core.errors import UsageError
from ganforge.core.method import Progress, at, moments
from ganforge.core.run import Run
from ganforge.core.train import train
from ganforge.data.photos import Photos
from ganforge.data.spec import DataSpec
from ganforge.distances import charbonnier, ms_ssim
from ganforge.methods import tasks
from ganforge.methods.restoration import Restoration
from ganforge.metrics import weights
from ganforge.metrics.likeness import Later, Sight
from ganforge.networks.image import critics, restorers
from ganforge.networks.image.detail import Detailed
from ganforge.networks.image.patch import Patch
from ganforge.networks.image.unet_critic import UNet
from ganforge.recipes import Restore
from ganforge.runs.likeness import eyes_of
from tests.contract.toys import Points

CLEAN = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Critic(nn.Module):
    """(n, 3, h, w) -> logits (n, k) and one map."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 3)

    def forward(self, x, given=None):
        h = self.first(x).tanh()
        return self.last(h).flatten(1), [h]


def restoration(adversarial=0.4, degrade=lambda x: x * 0.5, lr=1e-2, **options):
    torch.manual_seed(1)
    options = {"terms": {"pixels": (charbonnier, 1.0)}, **options}
    critic = Critic() if adversarial else None
    maker = partial(Adam, lr=1e-2)
    return Restoration(
        nn.Conv2d(3, 3, 1), critic, degrade=degrade, loss=losses.relativistic, optimizer=maker, lr=lr, adversarial=adversarial, **options
    )


def movers(method, fraction):
    return [update.player.name for update in method.step({"x": CLEAN}, at(fraction))]


def test_first_the_generator_then_the_discriminator_then_both():
    method = restoration()
    moved = {fraction: movers(method, fraction) for fraction in (0, 0.59, 0.6, 0.69, 0.7, 0.99)}
    alone, rival, both = ["generator"], ["discriminator"], ["discriminator", "generator"]
    assert moved == {0: alone, 0.59: alone, 0.6: rival, 0.69: rival, 0.7: both, 0.99: both}
    assert movers(restoration(adversarial=0), 0.99) == alone
    assert [*restoration(adversarial=0).exports] == ["generator"] and [*method.exports] == ["generator", "faithful"] == [*method.ways]


def test_the_rate_falls_over_the_first_phase_and_is_a_tenth_in_the_last():
    rates = [restoration().schedule(at(f))["lr"] for f in (0, 0.3, 0.599999, 0.6, 0.99)]
    assert rates == pytest.approx([1e-2, 1e-2 * (0.01 + 0.99 / 2), 1e-4, 1e-3, 1e-3], rel=1e-3)
    assert restoration(adversarial=0).schedule(at(0.999999))["lr"] == pytest.approx(1e-4, rel=1e-3)


def test_the_faithful_network_follows_and_then_stays():
    method, frozen = restoration(), None
    for step in range(10):
        iterate(method, [{"x": CLEAN}], Progress(step, step * 10, 100))
        same = torch.equal(method.faithful.weight, method.generator.weight)
        assert same == (step < 7)  # in steps 6 the discriminator moves alone
        frozen = method.faithful.weight.clone() if step == 5 else frozen
    assert torch.equal(method.faithful.weight, frozen)
    assert not any(p.requires_grad for p in method.faithful.parameters())
    assert "faithful.weight" in method.state_dict()


def test_the_faithful_average_is_that_of_the_end_of_the_first_phase():
    """While one follows the other their averages are one; afterwards the faithful one's rests, where the raw weights do not lie."""
    method, ended = restoration(), None
    average = Average(method.exports, 0.5)
    for step in range(40):
        now = Progress(step, step * 10, 400)
        iterate(method, [{"x": CLEAN}], now)
        average.update(Progress(step + 1, (step + 1) * 10, 400), 10, method.resting(now))
        kept, made = (average.networks[name].weight for name in ("faithful", "generator"))
        if step < 24:
            assert torch.equal(kept, made)
        ended = made.clone() if step == 23 else ended
    assert torch.equal(kept, ended) and not torch.equal(kept, made)
    assert not torch.equal(kept, method.faithful.weight)


def test_a_run_ships_the_average_of_the_end_of_the_first_phase(tmp_path):
    """`core.train` asks the method which averages rest."""
    run, found = Run(examples=80, batch=8, precision="fp32", layout="contiguous", ema=0.5), {}
    for steps in (6, 10):
        folder = tmp_path / str(steps)
        folder.mkdir()
        where = {"folder": folder, "device": torch.device("cpu"), "watcher": None}
        train(restoration(), Pictures(), run, **where, stop=partial(next, iter([False] * (steps - 1) + [True])))
        found[steps], _ = checkpoint.read(folder)
    ended = found[6]["average/generator/weight"]
    assert torch.equal(found[10]["average/faithful/weight"], ended) and not torch.equal(found[10]["average/generator/weight"], ended)


def test_the_average_of_the_game_begins_with_it():
    """Half-lives are of what the game has seen: at its first step the average is the network, and nothing of before it remains."""
    method = restoration()
    assert [method.since(at(f)) for f in (0.0, 0.69, 0.7, 1.0)] == pytest.approx([0, 0, 0.7, 0.7])
    assert restoration(adversarial=0).since(at(1.0)) == 0
    average = Average(method.exports, 0.05)
    for step in range(40):
        now, after = Progress(step, step * 10, 400), Progress(step + 1, (step + 1) * 10, 400)
        with torch.no_grad():
            method.generator.weight.fill_(float(now.fraction >= 0.7))
        average.update(after, 10, method.resting(now), method.since(now))
        got = average.networks["generator"].weight.mean().item()
        assert got == pytest.approx(float(step >= 28), abs=2e-6), step


def test_what_the_data_gives_is_taken_and_else_made_of_the_clean_image():
    method = restoration(degrade=lambda x: x[:, :1])
    assert torch.equal(method.given({"x": CLEAN}), CLEAN[:, :1])
    assert torch.equal(method.given({"x": CLEAN, "given": CLEAN + 1}), CLEAN + 1)


def test_every_term_is_in_the_loss_with_its_weight():
    terms = {"pixels": (charbonnier, 1.0), "structure": (ms_ssim, 2.0), "nothing": (ms_ssim, 0.0)}
    late = {"eyes": (lambda a, b: (a - b).square().flatten(1).mean(1), 4.0)}
    method = restoration(terms=terms, late_terms=late, feature_weight=3.0, adversarial_weight=0.5)
    first = next(method.step({"x": CLEAN}, at(0.0)))
    assert first.loss.item() == pytest.approx((first.log["distance/pixels"] + 2 * first.log["distance/structure"]).item())
    assert [*first.log] == ["distance/pixels", "distance/structure"]
    _, both = method.step({"x": CLEAN}, at(0.9))
    made = method.generator(CLEAN * 0.5)
    fool = losses.relativistic.g(method.discriminator(made)[0], method.discriminator(CLEAN)[0]).mean()
    assert both.log["distance/eyes"].item() == pytest.approx((made - CLEAN).square().mean().item())
    weights = {"pixels": 1, "structure": 2, "eyes": 4, "features": 3}
    total = sum(weight * both.log[f"distance/{name}"] for name, weight in weights.items()) + 0.5 * fool
    assert both.loss.item() == pytest.approx(total.item(), rel=1e-5)


@pytest.mark.parametrize("adversarial", [0.0, 0.02, 0.4])
def test_it_keeps_the_contract_of_methods(adversarial):
    make = partial(restoration, adversarial)
    testing.check_updates_move_only_their_player(make, {"x": CLEAN})
    testing.check_all_players_learn(make, {"x": CLEAN})
    testing.check_accumulation(make, {"x": CLEAN})


class Pictures(Points):
    """Points drawn as little images."""

    def batches(self, size, **where):
        for batch in super().batches(size, **where):
            yield {"x": batch["x"].tanh()[:, :, None, None].repeat(1, 2, 8, 8)[:, :3]}


def test_an_interrupted_run_is_bit_identical_in_every_phase(tmp_path):
    run = Run(examples=88, batch=8, precision="fp32", layout="contiguous")
    testing.check_resume(partial(restoration, degrade=lambda x: x + 0.1 * torch.randn_like(x)), Pictures(), run, tmp_path)


def test_every_stage_is_timed_for_its_share(monkeypatch):
    method = restoration()
    assert [*method.stages] == pytest.approx([0.3, 0.65, 0.85]) and [*method.stages.values()] == pytest.approx([0.6, 0.1, 0.3])
    rates = dict(zip(method.stages, (60.0, 10.0, 15.0)))
    monkeypatch.setattr(machine, "_rate", lambda m, batches, run, device, fraction, seconds: rates[fraction])
    assert machine.speed(method, Pictures(), Run(batch=8, precision="fp32"), torch.device("cpu")) == pytest.approx(1 / (0.01 + 0.01 + 0.02))


def test_a_real_measurement_takes_all_stages_in():
    seen = []

    class Watched(Restoration):
        def step(self, batch, now):
            seen.append(now.fraction)
            yield from super().step(batch, now)

    method = restoration()
    method.__class__ = Watched
    assert machine.speed(method, Pictures(), Run(batch=8, precision="fp32"), torch.device("cpu"), seconds=0.01) > 0
    assert {round(f, 6) for f in seen} == {0.3, 0.65, 0.85}


def test_memory_is_reckoned_with_the_discriminator():
    with_rival, without = (memory.needs(partial(restoration, share), {"x": CLEAN}) for share in (0.4, 0.0))
    assert with_rival.each > without.each
    critics = sum(p.numel() for p in Critic().parameters()) * 4
    assert with_rival.state >= without.state + 3 * critics  # weights and two moments


def test_moments_go_through_all_stages_in_turns():
    found = [(round(now.fraction, 6), now.step, every) for now, every in moments(restoration())]
    assert found[:4] == [(0.3, 0, False), (0.65, 0, False), (0.85, 0, True), (0.3, 1, True)]


TASKS = {name: task for name, task in vars(tasks).items() if isinstance(task, tasks.Task)}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_makes_whole_images_and_starts_as_the_plain_result(name):
    """An untrained network draws nothing, so that what is left is what classical means make of the input."""
    task = TASKS[name]
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 48) * 1.6 - 0.8
    given = task.degradation("", 0, 0.0, 0)(x)
    generator = task.generator(restorers.auto, 8, 1, 0)
    made = generator(given)
    assert given.shape[1] == task.inputs and made.shape == x.shape
    assert generator.scale == task.times(0)
    if name in ("denoise", "dejpeg", "deblur", "low_light", "old_photo"):
        torch.testing.assert_close(made, given)
    elif name == "inpaint":
        torch.testing.assert_close(made, given[:, :3])


@pytest.mark.parametrize(
    ("task", "damage", "fits"),
    [
        ("denoise", "clean", "noise, jpeg, deblur, gaussian-blur, low-light, old-photo."),
        ("denoise", "grey", "noise, jpeg, deblur, gaussian-blur, low-light, old-photo."),
        ("colourise", "holes", "hinted."),
        ("colourise", "grey", "hinted."),
        ("inpaint", "old_photo", "holes, strokes, boxes, scratches, text."),
        ("super_resolution", "jpeg", "clean, web, harsh."),
    ],
)
def test_damage_of_another_task_is_refused_and_what_fits_is_named(task, damage, fits):
    state = torch.get_rng_state()
    with pytest.raises(UsageError, match=f"--damage {damage.replace('_', '-')} .* What fits: {fits}"):
        Restore(data=Photos(path="x"), task=TASKS[task], damage=damage)
    for name in fits.rstrip(".").split(", "):
        Restore(data=Photos(path="x"), task=TASKS[task], damage=name)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_critic_of_the_recipe_is_shown_the_fine_structure():
    method = Restore(data=Photos(path="x"), width=8, blocks=1, d_width=8).method(DataSpec((3, 32, 32)))
    assert isinstance(method.discriminator, Detailed) and method.d_schedule(at(0.5))["lr"] == method.lr
    assert method.discriminator(torch.zeros(1, 3, 32, 32))[0].ndim == 2
    assert isinstance(method.discriminator.critic, Patch) and len(method.discriminator.critic.towers[0].convs) == 3
    other = Restore(data=Photos(path="x"), critic=critics.unet, width=8, blocks=1, d_width=8).method(DataSpec((3, 32, 32)))
    assert isinstance(other.discriminator, Detailed) and isinstance(other.discriminator.critic, UNet)
    assert other.discriminator(torch.zeros(1, 3, 20, 30))[0].shape == (1, 20 * 30)


def test_the_eyes_of_a_loss_are_opened_when_they_are_needed(monkeypatch):
    asked = []
    monkeypatch.setattr("ganforge.metrics.likeness.sight", lambda *a: asked.append(a) or Sight("far", charbonnier))
    method = Restore(data=Photos(path="x"), perceptual_weight=2.0, width=8, blocks=1, d_width=8).method(DataSpec((3, 32, 32)))
    assert not asked and set(method.terms) == {"pixels"} and set(method.late_terms) == {"pixels", "perceptual"}
    for fraction in (0.1, 0.99, 0.99):
        *_, last = method.step({"x": torch.zeros(1, 3, 32, 32)}, at(fraction))
        assert len(asked) == (fraction > 0.9) == ("distance/perceptual" in last.log)
    assert asked[0][0] == "efficientnet-lite0"


def test_distances_to_the_eye_have_slopes():
    a = torch.rand(2, 3, 32, 32, requires_grad=True)
    far = Later("random", "cpu")(a, torch.zeros(2, 3, 32, 32))
    (slope,) = torch.autograd.grad(far.sum(), a)
    assert far.shape == (2,) and slope.isfinite().all() and slope.abs().sum() > 0


PAIRS, LARGER, MASKS = (
    DataSpec((3, 32, 32), given=(3, 32, 32)),
    DataSpec((3, 32, 32), given=(3, 8, 8)),
    DataSpec((3, 32, 32), given=(4, 32, 32)),
)


def test_pairs_tell_the_scale_and_what_they_are_for():
    enlarge, mend = Restore(data=Photos(path="x"), width=8, blocks=1), Restore(data=Photos(path="x"), task=tasks.deblur, width=8, blocks=1)
    assert enlarge.method(LARGER).generator.scale == 4 and mend.method(PAIRS).generator.scale == 1
    assert dataclasses.replace(enlarge, task=tasks.inpaint).method(MASKS).generator.scale == 1
    with pytest.raises(UsageError, match="4 times as large as the given ones; got --scale 2"):
        dataclasses.replace(enlarge, scale=2).method(LARGER)
    with pytest.raises(UsageError, match="1 times as large .* they have to be larger"):
        enlarge.method(PAIRS)
    with pytest.raises(UsageError, match="4 times as large .* --task super-resolution is for these"):
        mend.method(LARGER)


@pytest.mark.parametrize(
    ("task", "brings", "options", "says"),
    [
        ("denoise", "masks", [], "photos holds images with masks of what is missing, which teach --task inpaint. .* alone"),
        ("inpaint", "pairs", [], "photos holds pairs of damaged and good images, which teach other tasks"),
        ("colourise", "masks", [], "photos holds images with masks"),
        ("denoise", "pairs", ["sigma"], "photos brings what is given, so nothing is damaged: leave out --sigma"),
    ],
)
def test_data_that_a_task_does_not_take_is_refused(task, brings, options, says):
    TASKS[task].check_data("photos", "", options)
    with pytest.raises(UsageError, match=says):
        TASKS[task].check_data("photos", brings, options)


def test_given_images_have_the_channels_of_the_task():
    grey = tasks.denoise._replace(inputs=1)
    with pytest.raises(UsageError, match="makes images of 1 channels, and the given ones have 3: give the folder of the good images alone"):
        grey.scale_of(PAIRS, 0)
    assert grey.scale_of(DataSpec((3, 32, 32)), 0) == 0


def test_the_scale_of_pairs_stays_when_the_model_goes_on_from_photographs():
    recipe = Restore(data=Photos(path="x"), width=8, blocks=1)
    planned, notes = recipe.plan(LARGER, lambda candidate: 1.0)
    assert notes == ["enlarges 4 times, as the pairs do"] and planned.scale == 4
    assert planned.method(LARGER).generator.scale == planned.method(DataSpec((3, 32, 32))).generator.scale == 4
    assert recipe.plan(DataSpec((3, 32, 32)), lambda candidate: 1.0) == (recipe, [])


@pytest.mark.parametrize("option", ["perceptual_weight", "feature_weight", "adversarial_weight", "loss", "critic", "d_width"])
def test_options_of_the_game_are_refused_where_there_is_none(option):
    recipe = Restore(data=Photos(path="x"), **{option: {"loss": losses.hinge, "critic": critics.unet}.get(option, 3)})
    recipe.plan(DataSpec((3, 32, 32)), lambda candidate: 1.0)
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} needs --adversarial above 0; as it is, nothing would look at it"):
        dataclasses.replace(recipe, adversarial=0.0).plan(DataSpec((3, 32, 32)), lambda candidate: 1.0)


@pytest.mark.parametrize(
    "at_hand, judge", [((), "random"), (("efficientnet-lite0",), "random"), (("efficientnet-lite0", "vgg16"), "vgg16")]
)
def test_a_loss_is_not_judged_by_its_own_eyes(at_hand, judge, monkeypatch):
    monkeypatch.setattr(weights, "at_hand", lambda name, *more: name in at_hand)
    spec, small = DataSpec((3, 32, 32)), {"width": 8, "blocks": 1, "d_width": 8}
    plain, seen = (Restore(data=Photos(path="x"), perceptual_weight=weight, **small).method(spec) for weight in (0.0, 1.0))
    assert (eyes_of(plain), eyes_of(seen)) == ("", judge) and eyes_of(seen, "efficientnet-lite0") == "efficientnet-lite0"


def test_structure_needs_a_window():
    with pytest.raises(UsageError, match="--structure-weight looks at 11 x 11 pixels: --crop 11 is too small"):
        Restore(data=Photos(path="x", crop=11), structure_weight=1.0)  # 10 of super-resolution by 2
    Restore(data=Photos(path="x", crop=12), structure_weight=1.0)
    Restore(data=Photos(path="x", crop=8))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_super_resolution_knows_its_scales(scale):
    task = tasks.super_resolution
    given = task.degradation("web", scale, 0.0, 0)(torch.zeros(1, 3, 24, 36))
    assert given.shape == (1, 3, 24 // scale, 36 // scale)
    assert task.generator(restorers.compact, 8, 1, scale)(given).shape == (1, 3, 24, 36)


def test_strengths_that_a_task_does_not_have_are_refused():
    with pytest.raises(UsageError, match="'deblur' has no sigma"):
        tasks.deblur.degradation("", 0, 10.0, 0)
    with pytest.raises(UsageError, match="'noize' is no degradation. Did you mean 'noise'?"):
        tasks.denoise.degradation("noize", 0, 0.0, 0)


def test_strengths_are_numbers_or_ranges_and_equal_however_they_are_told():
    kind, photos = Restore, Photos(path="x")
    for told in (25, 25.0, "25", " 25.0", "25-25"):
        assert kind(data=photos, task=tasks.denoise, sigma=told).sigma == "25"
        assert recipes_json.override(kind(data=photos, task=tasks.denoise), {"sigma": told}).sigma == "25"
    assert kind(data=photos, task=tasks.dejpeg, quality="10 - 60").quality == "10-60"
    old = recipes_json.describe(kind(data=photos)) | {"sigma": 0.0, "quality": 0}
    assert recipes_json.rebuild(kind, old) == kind(data=photos)
    old = recipes_json.describe(kind(data=photos, task=tasks.denoise)) | {"sigma": 12.5}
    assert recipes_json.rebuild(kind, old).sigma == "12.5"


def test_a_range_reaches_what_is_learnt_from():
    x = torch.zeros(32, 3, 16, 16)
    method = Restore(data=Photos(path="x"), task=tasks.denoise, sigma="5-50", width=8, blocks=1, d_width=8).method(DataSpec((3, 16, 16)))
    strengths = method.given({"x": x}).std((1, 2, 3)) * 127.5
    assert 4 < strengths.min() < 15 and 35 < strengths.max() < 60


@pytest.mark.parametrize(
    ("task", "options", "says"),
    [
        ("denoise", {"sigma": "50-5"}, "sigma is a standard deviation from 0 to 255, such as 25, or a range .* 5-50; got 50-5."),
        ("denoise", {"sigma": "loud"}, "such as 5-50; got loud."),
        ("denoise", {"sigma": -3.0}, "got -3."),
        ("dejpeg", {"quality": "10.5"}, "quality is a whole number from 1 to 100, .*; got 10.5."),
        ("dejpeg", {"quality": "10-600"}, "got 10-600."),
        ("dejpeg", {"sigma": "5-50"}, "'jpeg' has no sigma"),
        ("denoise", {"scale": 2}, "--scale is for --task super-resolution, and this task keeps the size of images. Leave it out."),
        ("super_resolution", {"scale": 7}, "--scale is how many times larger images become: 2, 3 or 4; got 7."),
    ],
)
def test_strengths_that_make_no_sense_are_refused_in_a_sentence(task, options, says):
    with pytest.raises(UsageError, match=says) as error:
        Restore(data=Photos(path="x"), task=TASKS[task], **options)
    assert "\n" not in str(error.value)


def test_it_restores():
    """Images at half their contrast: the mapping is a gain of 2, which the network must find, and the game must not spoil."""
    method = restoration(adversarial_weight=0.001, lr=0.1)
    for step in range(200):
        iterate(method, [{"x": CLEAN}], Progress(step, step, 200))
    off = [(network(CLEAN * 0.5) - CLEAN).abs().mean().item() for network in method.exports.values()]
    assert max(off) < 0.05 < (CLEAN * 0.5 - CLEAN).abs().mean().item()


def test_recipes_of_all_tasks_build_and_come_back_from_json():
    from ganforge.recipes import find

    kind = find("restore")
    for name in TASKS:
        recipe = recipes_json.override(recipes_json.on(kind, "photos"), {"task": name.replace("_", "-"), "width": 8, "d_width": 8})
        again = recipes_json.rebuild(kind, recipes_json.describe(recipe))
        assert again == recipe and again.task is TASKS[name]
        method = again.method(DataSpec((3, 64, 64), count=8))
        assert len(method.players) == 2 and len(dataclasses.replace(again, adversarial=0.0).method(DataSpec((3, 64, 64))).players) == 1
