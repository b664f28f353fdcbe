"""Translation: what the engine promises about its methods, and their arithmetic on networks small enough to work out by hand."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import SGD, Adam

from ganforge import distances, losses, testing
from ganforge.core.engine import iterate
from ganforge.core.method import Method, Progress
from ganforge.core.run import Run
from ganforge.core.schedule import held
from ganforge.methods.contrastive import CUT, mirrored
from ganforge.methods.paired import Paired
from ganforge.methods.unpaired import CycleGAN, Pool
from ganforge.networks.image.patch import Scales
from ganforge.networks.patches import PatchHeads, patch_nce, places
from ganforge.runs import pictures
from tests.contract.test_games import Same
from tests.contract.test_methods import refuse

NOW = Progress(0, 0, 8)
RUN = Run(examples=88, batch=8, precision="fp32", layout="contiguous")
DRAW = torch.Generator().manual_seed(5)
BATCH = {"x": torch.rand(8, 3, 6, 6, generator=DRAW) * 2 - 1, "given": torch.rand(8, 3, 6, 6, generator=DRAW) * 2 - 1}


class Translator(nn.Module):
    """(n, 3, h, w) -> (n, 3, h, w); features: the image, and eight maps of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        return self.last(self.first(x).tanh()).tanh()

    def features(self, x):
        return [x, self.first(x).tanh()]


class Apart(nn.Module):
    """A critic's logits as the one row of a single scale."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, x, given):
        logits, maps = self.critic(x, given)
        return [logits], maps


class Critic(nn.Module):
    """(n, c, h, w), given -> (logits (n, h w), [maps])."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(channels, 8, 3, padding=1), nn.Conv2d(8, 1, 1)

    def forward(self, x, given=None):
        maps = self.first(x if given is None else torch.cat([x, given], 1)).tanh()
        return self.last(maps).flatten(1), [maps]


MOVER = partial(Adam, lr=1e-2)


def paired(optimizer=MOVER, loss=losses.logistic, scales=None, **options: Any) -> Method:
    return Paired(Translator(), scales or Apart(Critic(6)), loss=loss, optimizer=optimizer, **options)


def cyclegan(optimizer=MOVER, pool: int = 3, **options: Any) -> Method:
    pools = Pool(pool, (3, 6, 6)), Pool(pool, (3, 6, 6))
    parts = Translator(), Translator(), Critic(3), Critic(3)
    return CycleGAN(*parts, pools=pools, loss=losses.least_squares, optimizer=optimizer, **options)


def cut(optimizer=MOVER, patches: int = 9, **options: Any) -> Method:
    parts = Translator(), Critic(3), PatchHeads([3, 8], 8)
    return CUT(*parts, loss=losses.least_squares, optimizer=optimizer, patches=patches, **options)


KEPT = {"colour": (distances.colour, 2.0), "variation": (lambda made, _: distances.tv(made), 0.5)}
METHODS: dict[str, Callable[..., Method]] = {
    "pix2pix": paired,
    "pix2pixhd": partial(paired, loss=losses.least_squares, pixel_weight=0.0, feature_weight=40.0),
    "pix2pix-relativistic": partial(paired, loss=losses.relativistic),
    "pix2pix-weighed": partial(paired, terms=KEPT),
    "cyclegan": cyclegan,
    "cyclegan-plain": partial(cyclegan, pool=0, identity_weight=0.0),
    "cyclegan-weighed": partial(cyclegan, pool=0, terms=KEPT),
    "cut": cut,
    "cut-weighed": partial(cut, patches=36, terms=KEPT),
    "fastcut": partial(cut, identity=False, mirror=True, contrast_weight=10.0),
}
each_method = pytest.mark.parametrize("name", METHODS)


@each_method
def test_an_update_moves_only_its_own_player(name):
    testing.check_updates_move_only_their_player(METHODS[name], BATCH)


@each_method
def test_every_player_learns(name):
    testing.check_all_players_learn(METHODS[name], BATCH)


@each_method
def test_an_interrupted_run_is_bit_identical_to_an_uninterrupted_one(name, tmp_path):
    """Pools of three are full after the first step of eight, so what they show is random from then on."""
    testing.check_resume(METHODS[name], Same(BATCH), RUN, tmp_path)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "fastcut"])
def test_accumulation_equals_one_big_batch(name):
    """With nothing left to chance: pools that are not full yet, all places compared, nothing mirrored."""
    options = {"pool": 8} if name == "cyclegan" else {"patches": 36} if name == "cut" else {}
    testing.check_accumulation(lambda: METHODS[name](optimizer=partial(SGD, lr=0.01), **options), BATCH, parts=4)


def test_nothing_in_a_step_waits_for_the_device(monkeypatch):
    forbidden = ("item", "tolist", "__bool__", "__float__", "__int__", "numpy")
    for name in METHODS:
        method = METHODS[name]()
        iterate(method, [BATCH], NOW)  # optimisers set up their state
        with monkeypatch.context() as patch:
            for attribute in forbidden:
                patch.setattr(torch.Tensor, attribute, refuse(getattr(torch.Tensor, attribute), f"{name}: .{attribute}() in a step"))
            iterate(method, [BATCH], Progress(1, 8, 32))


@each_method
def test_what_is_kept_makes_images_of_what_is_given(name):
    method = METHODS[name]()
    assert method.given(BATCH) is BATCH["given"]
    assert method.exports["generator"](method.given(BATCH)).shape == BATCH["x"].shape
    assert pictures.paired(method) == name.startswith("pix2pix")
    if name.startswith("cyclegan"):
        assert method.exports["backward"] is method.back


class Shift(nn.Module):
    """Images -> images, all brighter by a number."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x):
        return x + self.by


class Inverts(Shift):
    """Images -> their negatives, the fault that people complain of."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def forward(self, x):
        return self.by - x

    def features(self, x):
        return [x]


class Says(nn.Module):
    """Any image -> gain times its mean as the one logit; the map is the image, three times as strong."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x, given=None):
        return self.gain * x.mean((1, 2, 3))[:, None], [3 * x]


def flat(value: float, count: int = 2) -> torch.Tensor:
    return torch.full((count, 3, 4, 4), value)


def test_pix2pix_adds_up_what_its_paper_says():
    method = Paired(
        *(Shift(0.5), Apart(Says(2.0))),
        loss=losses.least_squares,
        optimizer=MOVER,
        adversarial_weight=4.0,
        pixel_weight=100.0,
        feature_weight=10.0,
    )
    d, g = method.step({"x": flat(0.6), "given": flat(0.2)}, NOW)  # made: 0.7, 0.1 too bright
    assert d.loss.item() == pytest.approx(((2 * 0.6 - 1) ** 2 + (2 * 0.7) ** 2) / 2)
    assert g.loss.item() == pytest.approx(4 * (2 * 0.7 - 1) ** 2 / 2 + 100 * 0.1 + 10 * 0.3)
    assert g.log["distance/pixels"].item() == pytest.approx(0.1) and g.log["distance/features"].item() == pytest.approx(0.3)


def test_the_pixels_pull_on_the_generator_and_the_wanted_maps_on_nobody():
    method = Paired(Shift(0.5), Apart(Says(2.0)), loss=losses.logistic, optimizer=MOVER, adversarial_weight=0.0, feature_weight=10.0)
    _, g = method.step({"x": flat(0.6), "given": flat(0.2)}, NOW)
    (slope,) = torch.autograd.grad(g.loss, [method.generator.by])
    assert slope.item() == pytest.approx(100 + 10 * 3)  # brighter is as much worse


def test_a_relativistic_generator_of_pix2pix_is_compared_with_its_own_right_answer():
    method = Paired(Shift(0.5), Apart(Says(2.0)), loss=losses.relativistic, optimizer=MOVER, pixel_weight=0.0)
    _, g = method.step({"x": flat(0.6), "given": flat(0.2)}, NOW)
    assert g.loss.item() == pytest.approx(math.log(1 + math.exp(2 * (0.6 - 0.7))))


class TwoScales(nn.Module):
    """Scales of 12 and of 3 places, which say gain times the mean of the image, and of something else."""

    def __init__(self, large: float, small: float) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.tensor([large, small]))

    def forward(self, x, given):
        mean = x.mean((1, 2, 3))[:, None]
        return [(self.gains[0] * mean).expand(-1, 12), (self.gains[1] * mean + 0.1).expand(-1, 3)], [x]


LOSSES = ("least_squares", "hinge", "logistic", "minimax", "wasserstein", "relativistic", "relativistic_average")


@pytest.mark.parametrize("name", LOSSES)
def test_every_scale_counts_as_much_as_it_would_alone_whatever_the_loss(name):
    """pix2pixHD, eq. 3: a sum over discriminators, each with the mean over its own places; alike for both players."""
    loss = getattr(losses, name)
    method = Paired(Shift(0.5), TwoScales(2.0, -0.5), loss=loss, optimizer=MOVER, pixel_weight=0.0, adversarial_weight=3.0)
    x, given = torch.rand(2, 3, 4, 4, generator=DRAW), torch.rand(2, 3, 4, 4, generator=DRAW)
    d, g = method.step({"x": x, "given": given}, NOW)
    real, made = (image.mean((1, 2, 3)) for image in (x, given + 0.5))
    for_d, for_g = 0.0, 0.0
    for gain, offset in ((2.0, 0.0), (-0.5, 0.1)):
        r, f = (gain * image[:, None] + offset for image in (real, made))
        for_d += loss.d(r, f).mean().item()
        for_g += loss.g(f, r).mean().item()
    assert d.loss.item() == pytest.approx(for_d, rel=1e-5) and g.loss.item() == pytest.approx(3 * for_g, rel=1e-5)


def test_the_smallest_scale_is_heard_as_well_as_the_largest():
    """The networks of the recipe: the slope that reaches the made image from each scale is what that scale alone would send."""
    torch.manual_seed(0)
    scales = Scales(6, 4, scales=2, spectral=False)
    method = Paired(Shift(0.5), scales, loss=losses.least_squares, optimizer=MOVER, pixel_weight=0.0)
    batch = {"x": torch.rand(1, 3, 32, 32), "given": torch.rand(1, 3, 32, 32)}
    _, g = method.step(batch, NOW)
    (slope,) = torch.autograd.grad(g.loss, [method.generator.by])
    rows, _ = scales(method.generator(batch["given"]), batch["given"])
    alone = [torch.autograd.grad(losses.least_squares.g(row).mean(), [method.generator.by], retain_graph=True)[0] for row in rows]
    torch.testing.assert_close(slope, alone[0] + alone[1])
    pooled = losses.least_squares.g(torch.cat(rows, 1)).mean()  # 49 places against 25
    (muffled,) = torch.autograd.grad(pooled, [method.generator.by])
    assert alone[1].abs() > 1e-6 and (slope - muffled).abs() > 0.2 * slope.abs()


def test_with_one_scale_every_bit_is_that_of_the_plain_mean():
    torch.manual_seed(0)
    method = paired(loss=losses.least_squares)
    d, g = method.step(BATCH, NOW)
    judge, made = method.discriminator.critic, method.generator(BATCH["given"])
    plain = losses.least_squares.d(judge(BATCH["x"], BATCH["given"])[0], judge(made, BATCH["given"])[0]).mean()
    fool = losses.least_squares.g(judge(made, BATCH["given"])[0]).mean() + 100.0 * distances.l1(made, BATCH["x"]).mean()
    assert torch.equal(d.loss, plain) and torch.equal(g.loss, fool)
    weights = list(method.discriminator.parameters())
    for ours, theirs in zip(torch.autograd.grad(d.loss, weights), torch.autograd.grad(plain, weights), strict=True):
        assert torch.equal(ours, theirs)


def test_pix2pix_adds_weighed_terms_of_the_result_and_the_right_answer():
    method = Paired(Shift(0.5), Apart(Says(0.0)), loss=losses.least_squares, optimizer=MOVER, pixel_weight=0.0, terms=KEPT)
    steps = torch.tensor([0.0, 0.4]).repeat(8).view(1, 1, 4, 4).expand(2, 3, 4, 4)  # across: 3 of 4 places by 0.4
    _, g = method.step({"x": flat(0.6), "given": steps}, NOW)  # made: 0.5 and 0.9, in the mean 0.7
    assert g.log["distance/colour"].item() == pytest.approx(0.1) and g.log["distance/variation"].item() == pytest.approx(0.3)
    assert g.loss.item() == pytest.approx(0.5 + 2 * 0.1 + 0.5 * 0.3)


def test_pix2pix_learns_what_the_pairs_show():
    torch.manual_seed(0)
    method = paired(partial(Adam, lr=1e-2))
    batch = {"x": -0.5 * BATCH["given"], "given": BATCH["given"]}
    readings = [iterate(method, [batch], Progress(i, 8 * i, 8 * 200))["distance/pixels"].item() for i in range(200)]
    assert readings[-1] < 0.05 < 0.2 < readings[0]


def test_cycle_and_identity_are_exact_where_networks_only_shift():
    parts = Shift(0.5), Shift(-0.2), Says(2.0), Says(4.0)
    pools = Pool(4, (3, 4, 4)), Pool(4, (3, 4, 4))
    weights = {"adversarial_weight": 2.0, "cycle_weight": 10.0, "identity_weight": 5.0}
    method = CycleGAN(*parts, pools=pools, loss=losses.least_squares, optimizer=MOVER, **weights)
    g, d = method.step({"x": flat(0.3), "given": flat(-0.1)}, NOW)
    fake_a, fake_b = 0.3 - 0.2, -0.1 + 0.5
    assert g.log["distance/cycle"].item() == pytest.approx(2 * 0.3)  # there and back is 0.3 too bright, both ways
    assert g.log["distance/identity"].item() == pytest.approx(0.2 + 0.5)
    fool = ((2 * fake_a - 1) ** 2 + (4 * fake_b - 1) ** 2) / 2
    assert g.loss.item() == pytest.approx(2 * fool + 10 * 0.6 + 5 * 0.7)
    on_a = ((2 * -0.1 - 1) ** 2 + (2 * fake_a) ** 2) / 2
    on_b = ((4 * 0.3 - 1) ** 2 + (4 * fake_b) ** 2) / 2
    assert d.loss.item() == pytest.approx(on_a + on_b)
    torch.testing.assert_close(method.pool_a.past[:2], flat(fake_a))
    torch.testing.assert_close(method.pool_b.past[:2], flat(fake_b))


def test_cyclegan_compares_each_result_with_what_it_was_made_of():
    pools = Pool(0, (3, 4, 4)), Pool(0, (3, 4, 4))
    parts = Shift(0.5), Shift(-0.2), Says(0.0), Says(0.0)
    off = {"cycle_weight": 0.0, "identity_weight": 0.0, "terms": KEPT}
    method = CycleGAN(*parts, pools=pools, loss=losses.least_squares, optimizer=MOVER, **off)
    g, _ = method.step({"x": flat(0.3), "given": flat(-0.6)}, NOW)
    assert g.log["distance/colour"].item() == pytest.approx(0.5 + 0.2) and g.log["distance/variation"].item() == 0
    assert g.loss.item() == pytest.approx(1.0 + 2 * 0.7)


@pytest.mark.parametrize("mirror", [False, True])
def test_cut_compares_the_result_with_the_input_as_the_generator_saw_it(mirror):
    torch.manual_seed(0)
    parts = Inverts(), Critic(3), PatchHeads([3], 8)
    weights = {"adversarial_weight": 0.0, "contrast_weight": 0.0, "terms": {"colour": (distances.l1, 2.0)}}
    method = CUT(*parts, loss=losses.least_squares, optimizer=MOVER, identity=not mirror, mirror=mirror, **weights)
    _, g = method.step(BATCH, NOW)
    far = 2 * BATCH["given"].abs().mean()  # of a and -a, wherever a pixel was moved to
    torch.testing.assert_close(g.log["distance/colour"], far)
    torch.testing.assert_close(g.loss, 2 * far)


def test_inverse_networks_have_no_cycle_to_mend():
    pools = Pool(0, (3, 4, 4)), Pool(0, (3, 4, 4))
    parts = Shift(0.5), Shift(-0.5), Says(0.0), Says(0.0)
    method = CycleGAN(*parts, pools=pools, loss=losses.least_squares, optimizer=MOVER, identity_weight=0.0)
    g, _ = method.step({"x": flat(0.25), "given": flat(-0.25)}, NOW)
    assert g.log["distance/cycle"].item() == 0 and "distance/identity" not in g.log
    assert g.loss.item() == pytest.approx(1.0)  # two critics that say 0 are each half fooled


def test_the_pool_follows_the_published_rule():
    """Image by image, in plain words and lists, with the same random numbers."""
    size, stored, waiting = 5, [], []
    pool = Pool(size, (1, 2, 2))
    shown_old = 0
    for step in range(60):
        fakes = torch.full((3, 1, 2, 2), float(step)) + torch.arange(3.0).view(3, 1, 1, 1) / 10
        torch.manual_seed(step)
        shown = pool(fakes)
        torch.manual_seed(step)
        waiting = []
        for fake in fakes:
            place, chance = int(torch.randint(size, (1,))), float(torch.rand(1))
            if len(stored) < size:
                stored.append(fake)
                waiting.append(fake)
            elif chance < 0.5:
                waiting.append(stored[place])
                stored[place] = fake
                shown_old += 1
            else:
                waiting.append(fake)
        assert torch.equal(shown, torch.stack(waiting)), step
        assert torch.equal(pool.past[: len(stored)], torch.stack(stored)), step
    assert pool.filled.item() == size and 0.35 < shown_old / 175 < 0.65


def test_a_pool_without_room_shows_what_it_gets_and_leads_nowhere():
    fakes = torch.rand(2, 1, 2, 2, requires_grad=True)
    for size in (0, 4):
        shown = Pool(size, (1, 2, 2))(fakes)
        assert torch.equal(shown, fakes) and not shown.requires_grad


def test_patch_nce_worked_by_hand():
    apart = torch.eye(2)[None]
    assert patch_nce(apart, apart, 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert patch_nce(apart, apart, 0.5).item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert patch_nce(apart, apart.flip(1), 0.5).item() == pytest.approx(math.log(1 + math.exp(2)), rel=1e-5)
    assert patch_nce(torch.ones(1, 7, 1), torch.ones(1, 7, 1)).item() == pytest.approx(math.log(7))
    tilted = torch.tensor([[[1.0, 0.0], [0.6, 0.8]]])  # rows of likeness 1, 0.6 and 0.6, 1
    assert patch_nce(tilted, tilted, 0.07).item() == pytest.approx(math.log(1 + math.exp(-0.4 / 0.07)), rel=1e-4)


def test_patch_nce_is_the_published_loss():
    """There the key of the own place comes first, and on the diagonal of the others a very low score takes its place."""
    draw = torch.Generator().manual_seed(0)
    queries, keys = (normalize(torch.randn(3, 10, 4, generator=draw), dim=2) for _ in range(2))
    values = []
    for q, k in zip(queries, keys, strict=True):
        others = (q @ k.T).masked_fill(torch.eye(10, dtype=torch.bool), -10.0)
        scores = torch.cat([(q * k).sum(1, keepdim=True), others], 1) / 0.07
        values.append(cross_entropy(scores, torch.zeros(10, dtype=torch.long)))
    torch.testing.assert_close(patch_nce(queries, keys), torch.stack(values))


def test_patch_nce_keeps_its_precision_in_bf16():
    draw = torch.Generator().manual_seed(0)
    queries, keys = (normalize(torch.randn(2, 10, 4, generator=draw), dim=2) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        inside = patch_nce(queries, keys)
    assert torch.equal(inside, patch_nce(queries, keys))


def test_places_are_different_and_all_of_them_where_they_fit():
    few, all_of_them = places([torch.zeros(2, 3, 8, 8), torch.zeros(2, 5, 3, 4)], 20)
    assert len(few) == len(few.unique()) == 20 and few.max() < 64
    assert torch.equal(all_of_them, torch.arange(12))


def test_heads_see_the_places_they_are_asked_for_and_give_unit_vectors():
    torch.manual_seed(0)
    heads = PatchHeads([3, 128, 256, 256, 256])
    assert sum(p.numel() for p in heads.parameters()) == 560_384
    heads = PatchHeads([2], 4)
    m = torch.randn(3, 2, 4, 5)
    (seen,) = heads([m], [torch.tensor([7, 0])])  # row 1, column 2; row 0, column 0
    assert seen.shape == (3, 2, 4)
    torch.testing.assert_close(seen.norm(dim=2), torch.ones(3, 2))
    torch.testing.assert_close(seen[:, 0], normalize(heads.heads[0](m[:, :, 1, 2]), dim=1))


def test_contrast_pulls_on_what_was_made_alone():
    torch.manual_seed(0)
    method = cut()
    source, made = (t.clone().requires_grad_() for t in (BATCH["given"], BATCH["x"]))
    slopes = torch.autograd.grad(method.contrast(source, made), [source, made, *method.heads.parameters()], allow_unused=True)
    assert slopes[0] is None and all(slope is not None and bool(slope.abs().sum()) for slope in slopes[1:])


def test_an_image_that_kept_its_content_has_the_lower_contrast():
    torch.manual_seed(0)
    method = cut(patches=36)
    same, other = (method.contrast(BATCH["given"], made).item() for made in (BATCH["given"] * 0.9, BATCH["given"].flip(0)))
    assert same < math.log(36) < other


def test_mirrored_images_are_compared_with_what_lies_at_the_same_place():
    torch.manual_seed(0)
    method = cut(patches=36)
    method.generator.first = nn.Conv2d(3, 8, 1)  # looks at one pixel, so mirroring commutes with it
    a, turned = BATCH["given"], torch.arange(8) % 2 == 0
    plain = method.contrast(a, 0.5 * a)
    torch.testing.assert_close(method.contrast(a, mirrored(0.5 * a, turned), turned), plain)
    assert method.contrast(a, mirrored(0.5 * a, turned)) > plain + 0.1


def test_mirroring_touches_those_that_are_chosen():
    x = BATCH["x"]
    out = mirrored(x, torch.tensor([True] + 7 * [False]))
    assert torch.equal(out[0], x[0].flip(2)) and torch.equal(out[1:], x[1:]) and mirrored(x, None) is x


def test_identity_asks_the_same_of_images_of_the_wanted_domain_with_half_the_weight():
    torch.manual_seed(0)
    method = cut(patches=36, adversarial_weight=2.0, contrast_weight=3.0)
    _, g = method.step(BATCH, NOW)
    made, kept = method.generator(BATCH["given"]), method.generator(BATCH["x"])
    contrast = (method.contrast(BATCH["given"], made) + method.contrast(BATCH["x"], kept)) / 2
    fool = losses.least_squares.g(method.discriminator(made)[0]).mean()
    torch.testing.assert_close(g.loss, 2 * fool + 3 * contrast)


def test_the_learning_rate_is_held_and_then_falls_to_nothing():
    rate = held(2e-4, 0.0, 0.75)
    at = [rate(Progress(0, seen, 100)) for seen in (0, 50, 75, 100)]
    assert at == [2e-4, 2e-4, 2e-4, 0.0] and rate(Progress(0, 95, 100)) == pytest.approx(4e-5)
