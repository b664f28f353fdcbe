"""Degradations by name: any size, repeatable by seeding torch alone, each example its own, and what each must do to a photograph."""

import random

import numpy as np
import pytest
import torch

from ganforge.core.errors import UsageError
from ganforge.data.degrade import chains, kernels, masks
from ganforge.data.degrade.atoms import blur, jpeg, luma, resized, stored
from ganforge.data.degrade.presets import HOLES, PRESETS, blurred, clean, harsh, hinted, holes, low_light, named, noise, noised, web
from ganforge.data.degrade.presets import compressed as compressed_and_told
from ganforge.data.degrade.presets import jpeg as compressed
from ganforge.metrics.pairs import psnr

SCALED, CHANNELS = ("clean", "web", "harsh"), {"grey": 1, "hinted": 4, **dict.fromkeys(HOLES, 4)}


def photo(n=1, side=64):
    """Soft shapes with some fine structure, of 8 bits."""
    coarse = resized(torch.rand(n, 3, 5, 5) * 1.6 - 0.8, side, side)
    fine = resized(torch.rand(n, 1, side // 3, side // 3) - 0.5, side, side)
    return stored((coarse + 0.5 * fine).clamp(-1, 1))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (20, 33)])
@pytest.mark.parametrize("name", PRESETS)
def test_any_size_works(name, size):
    x = stored(torch.rand(3, 3, *size) * 2 - 1)
    before = x.clone()
    given = named(name)(x)
    side = [-(-length // 2) for length in size] if name in SCALED else size
    assert given.shape == (3, CHANNELS.get(name, 3), *side) and given.dtype == torch.float32 and given.isfinite().all()
    assert given.abs().max() <= 1 and torch.equal(x, before) and named(name)(x[:1]).shape[1:] == given.shape[1:]


@pytest.mark.parametrize("name", PRESETS)
def test_seeding_torch_repeats_the_draws_and_nothing_else_moves_them(name):
    x, degrade = photo(2, 32), named(name)
    found = []
    for other in (0, 1):
        random.seed(other)
        np.random.seed(other)
        torch.manual_seed(7)
        found.append(degrade(x))
    assert torch.equal(*found)
    if name not in ("clean", "grey", "jpeg"):
        assert any(not torch.equal(found[0], degrade(x)) for _ in range(4))


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("clean", "grey", "jpeg")])
def test_every_example_draws_its_own(name):
    twins = photo(1, 32).repeat(8, 1, 1, 1)
    given = named(name)(twins)
    assert len({one.numpy().tobytes() for one in given}) > 1


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("hinted", *HOLES)])
def test_what_is_given_would_fit_into_a_file_of_8_bits(name):
    given = named(name)(photo(2, 32))
    torch.testing.assert_close(stored(given), given, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_clean_is_milder_than_web_and_web_than_harsh(scale):
    x = photo(8, 48)
    likeness = [psnr(resized(preset(scale)(x), 48, 48).clamp(-1, 1), x).clamp(max=60).mean() for preset in (clean, web, harsh)]
    assert likeness[0] > likeness[1] > likeness[2]


def test_clean_at_scale_1_changes_nothing():
    x = photo()
    torch.testing.assert_close(clean(1)(x), x)


def test_the_order_of_the_harsh_steps_is_shuffled(monkeypatch):
    seen = []

    def watched(steps):
        order = torch.randperm(len(steps)).tolist()
        seen.append((len(steps), tuple(order)))
        return [steps[i] for i in order]

    monkeypatch.setattr(chains, "shuffled", watched)
    harsh(2)(photo(12, 16))
    assert [length for length, _ in seen] == [4, 3, 2] * 12  # two rounds, and the end
    assert all(len({order for length, order in seen if length == n}) > 1 for n in (4, 3, 2))


def test_noise_has_its_strength():
    x = torch.zeros(4, 3, 64, 64)
    off = noise(25)(x) - x
    assert off.std().item() * 127.5 == pytest.approx(25, rel=0.03) and abs(off.mean().item()) < 0.02
    strengths = (noise((5, 50))(torch.zeros(32, 3, 32, 32))).std((1, 2, 3)) * 127.5
    assert 4 < strengths.min() < 15 and 35 < strengths.max() < 55


def test_jpeg_has_its_quality():
    x = photo(1, 32)
    assert torch.equal(compressed(35)(x), jpeg(x, torch.tensor([35])))
    known = {jpeg(x, torch.tensor([q])).numpy().tobytes() for q in (40, 41)}
    assert {one.numpy().tobytes() for one in compressed((40, 41))(x.repeat(20, 1, 1, 1))[:, None]} == known


def test_strengths_that_are_told_are_those_that_were_drawn():
    x = torch.zeros(8, 3, 64, 64)
    torch.manual_seed(0)
    given, sigma = noised(x, "5-50")
    torch.testing.assert_close(given.std((1, 2, 3)) * 127.5, sigma, rtol=0.05, atol=0)
    torch.manual_seed(0)
    assert torch.equal(named("noise", sigma="5-50")(x), given) and sigma.max() - sigma.min() > 10
    torch.manual_seed(0)
    x = photo(4, 24)
    given, quality = compressed_and_told(x, "10-60")
    assert torch.equal(given, jpeg(x, quality)) and len(quality.unique()) > 1 and 10 <= quality.min() and quality.max() <= 60


@pytest.mark.parametrize("name", HOLES[1:])
def test_holes_of_one_kind_are_of_that_kind_alone(name):
    x = photo(6, 48)
    torch.manual_seed(1)
    given = named(name)(x)
    torch.manual_seed(1)
    assert torch.equal(given[:, 3:], getattr(masks, name)(6, 48, 48))


def test_the_kernels_that_are_told_are_those_that_blurred():
    x = photo(6, 48)
    given, kernel = blurred(x)
    assert kernel.shape[0] == 6
    left = (given - blur(x, kernel.flip(1, 2))).flatten(1).std(1) * 127.5  # which correlates
    assert (left < 3.6).all() and (left > 0.5).all()  # the noise alone
    point = kernels.gaussian(3, torch.tensor([0.05]))
    assert ((given - blur(x, point)).flatten(1).std(1) * 127.5).mean() > left.mean()


def test_what_is_told_of_a_blur_is_what_a_point_of_light_becomes():
    torch.manual_seed(3)
    point = torch.full((6, 3, 33, 33), -1.0)
    point[:, :, 16, 16] = 1
    given, told = blurred(point)
    for light, kernel in zip((given.mean(1) + 1) / 2, told):
        seen = light[8:25, 8:25].flatten()
        like, unlike = (float(torch.corrcoef(torch.stack([seen, k.flatten()]))[0, 1]) for k in (kernel, kernel.flip(0, 1)))
        assert like > 0.8 and like >= unlike - 1e-3
    lopsided = [float((k - k.flip(0, 1)).abs().sum()) for k in told]
    assert max(lopsided) > 0.3  # of a symmetric one nobody could tell


def test_low_light_is_dark_and_noisy():
    x = torch.full((16, 3, 32, 32), 0.3)
    given = low_light(x)
    assert (given.mean((1, 2, 3)) < -0.1).all() and given.mean() < -0.4
    assert (given.std((2, 3)) > 0.002).all()


def test_hints_are_the_true_colours():
    x = photo(12, 32)
    given = hinted(x)
    y, cb, cr, dots = given.unbind(1)
    assert set(dots.unique().tolist()) == {0, 1} and dots.mean() < 0.3
    assert (cb[dots == 0] == 0).all() and (cr[dots == 0] == 0).all()
    torch.testing.assert_close(y[:, None], stored(luma(x)))
    rgb = torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1)
    at = (dots > 0)[:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(rgb[at], x[at], rtol=0, atol=1.1 / 127.5)
    bare = (dots.flatten(1).sum(1) == 0).sum()
    assert 0 < bare < 12


def test_known_pixels_around_holes_keep_every_bit():
    x = torch.rand(8, 3, 24, 17) * 2 - 1
    given = holes(x)
    known = (given[:, 3:] == 0).expand(-1, 3, -1, -1)
    assert torch.equal(given[:, :3][known], x[known]) and not torch.equal(given[:, :3][~known], x[~known])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: named("hash"), "'hash' is no degradation. Did you mean 'harsh'? There are: clean, web, harsh, noise"),
        (lambda: named("low_lihgt"), "Did you mean 'low-light'?"),
        (lambda: named("deblur", scale=2), "'deblur' has no scale, which is for clean, web, harsh. Leave it out."),
        (lambda: named("web", quality=20), "'web' has no quality, which is for jpeg. Leave it out."),
        (lambda: named("web", scale=5), "scale is how many times smaller the given image is: 1, 2, 3 or 4; got 5."),
        (lambda: noise(-1), "sigma is a standard deviation from 0 to 255"),
        (lambda: noise((5, 1)), "sigma is a standard deviation from 0 to 255"),
        (lambda: named("noise", sigma="5-"), "such as 25, or a range of them, such as 5-50; got 5-."),
        (lambda: named("noise", sigma="5-500"), "got 5-500."),
        (lambda: named("jpeg", quality="10-60.5"), "quality is a whole number from 1 to 100, such as 20, or a range of them"),
        (lambda: compressed(0), "quality is a whole number from 1 to 100"),
        (lambda: compressed((20, 101)), "quality is a whole number from 1 to 100"),
    ],
)
def test_errors_teach(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)


def test_names_and_strengths_reach_their_makers():
    x = photo(1, 24)
    assert named("clean", scale=3)(x).shape[2:] == (8, 8)
    assert torch.equal(named("jpeg", quality=10)(x), compressed(10)(x))
    assert torch.equal(named("noise", sigma=0)(x), x)
