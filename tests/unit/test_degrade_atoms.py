"""Single degradations against constants worked out by hand, the equations written as loops, and other libraries."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.data.degrade import ageing, atoms, kernels
from ganforge.data.degrade.draws import between, chance, pick, shuffled, whole


def images(n=2, h=12, w=9, c=3):
    return torch.rand(n, c, h, w) * 2 - 1


def smooth(n=1, side=64):
    """Something like a photograph: large soft shapes."""
    return atoms.resized(torch.rand(n, 3, 6, 6) * 2 - 1, side, side).clamp(-1, 1)


def bells(n, power=None, flat=None):
    along, across, angle = between(0.5, 3, n), between(0.5, 3, n), between(-3, 3, n)
    return kernels.bell(21, along, across, angle, torch.ones(n) if power is None else power, flat or torch.zeros(n, dtype=torch.bool))


KERNELS = {
    "bell": lambda: bells(5),
    "general": lambda: bells(5, power=between(0.5, 4, 5)),
    "plateau": lambda: kernels.bell(21, *[between(0.5, 3, 5)] * 2, torch.zeros(5), between(1, 2, 5), torch.ones(5, dtype=torch.bool)),
    "gaussian": lambda: kernels.gaussian(21, between(0.2, 3, 5)),
    "disc": lambda: kernels.disc(21, between(0.2, 8, 5)),
    "shake": lambda: kernels.shake(21, between(0, 20, 5)),
    "sinc": lambda: kernels.sinc(21, between(math.pi / 3, math.pi, 5)),
    "within": lambda: kernels.within(bells(5), torch.tensor([3.0, 4, 5, 6, 10])),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_keep_the_light(name):
    found = KERNELS[name]()
    assert found.shape == (5, 21, 21) and found.isfinite().all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(5))
    if name != "sinc":
        assert (found >= 0).all()
    if name not in ("shake", "sinc"):
        torch.testing.assert_close(found, found.flip(1, 2))
    assert (found[0] != found[1]).any()


def test_a_gaussian_kernel_has_its_widths_and_its_angle():
    along, across, angle = torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([math.pi / 2])
    one = kernels.bell(31, along, across, angle, torch.ones(1), torch.zeros(1, dtype=torch.bool))[0]
    at = torch.arange(31) - 15.0
    assert (one.sum(1) * at**2).sum().item() == pytest.approx(4, rel=1e-3)  # turned upright: the long side runs down
    assert (one.sum(0) * at**2).sum().item() == pytest.approx(1, rel=1e-3)


def test_a_disc_covers_its_area_evenly():
    one = kernels.disc(21, torch.tensor([6.0]))[0]
    assert one[10, 10].item() == pytest.approx(1 / (math.pi * 36), rel=0.02)
    assert one[10, 16] > 0 and one[10, 17] == 0


def test_a_low_pass_stops_what_is_above_its_cutoff():
    one = kernels.sinc(21, torch.tensor([math.pi / 2]))[0]
    at = torch.arange(21) - 10.0
    through = lambda frequency: (one.sum(0) * torch.cos(frequency * at)).sum().item()
    assert abs(through(0.2 * math.pi) - 1) < 0.15 and abs(through(0.8 * math.pi)) < 0.15
    assert (one < 0).any()  # it rings


def test_shakes_are_as_long_as_asked():
    lengths = torch.tensor([0.0, 4.0, 16.0]).repeat_interleave(50)
    found = kernels.shake(17, lengths)
    extents = torch.tensor([max((one > 0).any(axis).nonzero().flatten().diff().sum().item() for axis in (0, 1)) for one in found])
    assert (extents <= lengths + 1).all()
    assert (found[:50] - torch.eye(17)[8] * torch.eye(17)[8][:, None]).abs().max() < 1e-6  # no movement: a point in the middle
    assert extents[100:].float().mean() > extents[50:100].float().mean() > 1


def test_blur_is_the_convolution_written_as_loops():
    x, k = images(2, 6, 5), bells(2)[:, 8:13, 8:13]
    found = atoms.blur(x, k)
    for i in range(2):
        framed = np.pad(x[i].numpy(), ((0, 0), (2, 2), (2, 2)), mode="reflect")
        wanted = sum(k[i, r, c].item() * framed[:, r : r + 6, c : c + 5] for r in range(5) for c in range(5))
        np.testing.assert_allclose(found[i].numpy(), wanted, atol=1e-6)
    torch.testing.assert_close(found[:1], atoms.blur(x[:1], k[:1]))
    torch.testing.assert_close(atoms.blur(x, k[:1])[1:], atoms.blur(x[1:], k[:1]))


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (7, 5)])
def test_mirrors_fit_any_size(size):
    x = images(1, *size)
    wanted = np.pad(x.numpy(), ((0, 0), (0, 0), (9, 9), (9, 9)), mode="reflect" if min(size) > 1 else "symmetric")
    found = atoms.mirrored(x, 9)
    assert found.shape[2:] == (size[0] + 18, size[1] + 18)
    if min(size) > 1 or size == (1, 1):
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_a_flat_image_survives_any_blur_and_resizing():
    x = torch.full((2, 3, 5, 4), 0.3)
    torch.testing.assert_close(atoms.blur(x, KERNELS["sinc"]()[:2]), x)
    for how in ("area", "bilinear", "bicubic"):
        torch.testing.assert_close(atoms.resized(x, 3, 9, how), torch.full((2, 3, 3, 9), 0.3))
        torch.testing.assert_close(atoms.resized(x, 0, 2, how, smooth=False), torch.full((2, 3, 1, 2), 0.3))


def test_bicubic_is_pillows():
    x = atoms.stored(smooth(1, 32))
    pixels = ((x[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    wanted = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC)).astype(float)
    found = (atoms.resized(x, 16, 16)[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(found - wanted).max() < 1.01  # Pillow rounds, after each of its two passes


def test_eight_bits_are_kept():
    x = torch.tensor([-3.0, -1, -0.9961, 0, 1, 7]).view(1, 1, 1, 6)
    torch.testing.assert_close(atoms.stored(x).flatten(), torch.tensor([-1, -1, -1, 1 / 255, 1, 1]))
    y = atoms.stored(images())
    torch.testing.assert_close(atoms.stored(y), y, rtol=0, atol=0)


def test_luma_by_hand():
    x = torch.tensor([1.0, -1, 0]).view(1, 3, 1, 1)
    assert atoms.luma(x).item() == pytest.approx(0.299 - 0.587)


def test_gaussian_noise_has_each_examples_strength():
    x = torch.zeros(3, 3, 100, 100)
    found = atoms.gaussian_noise(x, torch.tensor([0.0, 10.0, 40.0]), torch.tensor([False, True, False]))
    assert (found[0] == 0).all()
    assert (found[1] == found[1, :1]).all() and (found[2] != found[2, :1]).any()
    assert found[1].std().item() * 127.5 == pytest.approx(10, rel=0.05) and found[2].std().item() * 127.5 == pytest.approx(40, rel=0.03)


def test_poisson_noise_grows_with_the_light():
    x = torch.cat([torch.full((1, 3, 100, 100), level * 2 / 255 - 1) for level in (0, 50, 200)])
    found = (atoms.poisson_noise(x, torch.tensor([2.0, 1.0, 2.0]), torch.tensor([False, True, False])) - x) * 127.5
    assert found[0].abs().max() < 1e-4
    assert found[1].std().item() == pytest.approx(50**0.5, rel=0.05) and (found[1] == found[1, :1]).all()
    assert found[2].std().item() == pytest.approx(2 * 200**0.5, rel=0.05) and (found[2] != found[2, :1]).any()


@pytest.mark.parametrize("halved", [True, False])
def test_jpeg_is_pillows(halved):
    x = atoms.stored(smooth(2, 32) * torch.rand(2, 3, 32, 32))
    found = atoms.jpeg(x, torch.tensor([30, 80]), torch.tensor([halved, halved]))
    for one, quality, got in zip(x, (30, 80), found, strict=True):
        file = io.BytesIO()
        picture = Image.fromarray(((one + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy())
        picture.save(file, "JPEG", quality=quality, subsampling="4:2:0" if halved else "4:4:4")
        wanted = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 127.5 - 1
        torch.testing.assert_close(got, wanted)
    assert (found[0] - x[0]).abs().mean() > (found[1] - x[1]).abs().mean() > 0


def test_jpeg_takes_grey_images():
    x = images(2, 5, 3, c=1)
    assert atoms.jpeg(x, torch.tensor([90, 10])).shape == x.shape


def test_less_light_by_hand():
    x = images()
    found = atoms.dimmed(x, torch.tensor([1.0, 3.0]), torch.full((2,), 1e12), torch.zeros(2))
    light = ((x + 1) / 2) ** 2.2 * torch.tensor([0.5, 0.125]).view(2, 1, 1, 1)
    torch.testing.assert_close((found + 1) / 2, light ** (1 / 2.2), rtol=1e-3, atol=1e-4)
    x = torch.full((1, 3, 200, 200), 0.8)
    light = ((x[0, 0, 0, 0] + 1) / 2) ** 2.2 / 4
    seen = ((atoms.dimmed(x, torch.tensor([2.0]), torch.tensor([500.0]), torch.tensor([0.01])) + 1) / 2) ** 2.2
    assert seen.var().item() == pytest.approx((light / 500 + 1e-4).item(), rel=0.05)


def test_unsharp_mask_by_hand():
    x = images(1)
    k = kernels.gaussian(7, torch.tensor([1.0]))
    torch.testing.assert_close(atoms.sharpened(x, torch.tensor([0.5]), k), 1.5 * x - 0.5 * atoms.blur(x, k))
    torch.testing.assert_close(atoms.sharpened(x, torch.tensor([0.0]), k), x)


def test_fading_and_browning_by_hand():
    x = images(2)
    by = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(ageing.faded(x, by)[0], x[0])
    torch.testing.assert_close(ageing.faded(x, by)[1], torch.full_like(x[1], 0.25))
    brown = ageing.browned(x, by)
    torch.testing.assert_close(brown[0], x[0])
    y = atoms.luma(x)[1, 0]
    torch.testing.assert_close(brown[1], torch.stack([(y + 1) * by - 1 for by in ageing.SEPIA]))


def test_grain_has_its_strength_and_dust_its_share():
    x = torch.zeros(2, 3, 100, 100)
    grain = ageing.grained(x, torch.tensor([5.0, 20.0]), torch.tensor([0.3, 1.5]))
    torch.testing.assert_close(grain.std((1, 2, 3)) * 127.5, torch.tensor([5.0, 20.0]), rtol=0.02, atol=0)
    assert (grain == grain[:, :1]).all()
    assert (grain[1, :, 1:] - grain[1, :, :-1]).abs().mean() < (grain[1]).std()  # coarse spots: neighbours are alike
    dust = ageing.dusty(x, torch.tensor([0.0, 0.002]))
    assert (dust[0] == 0).all() and 0 < (dust[1].abs() > 0.3).float().mean() < 0.05
    assert torch.equal(ageing.stained(x, torch.zeros(2)), x) and ageing.stained(x, torch.ones(2)).abs().max() <= 1
    assert (ageing.scratched(x) != 0).any() and (ageing.scratched(x) == 0).any()


def test_draws_stay_within_what_was_asked():
    found = between(2, 3, 1000)
    assert found.min() >= 2 and found.max() <= 3 and found.std() > 0.2
    assert {whole(1, 3) for _ in range(100)} == {1, 2, 3}
    assert {pick("abc") for _ in range(100)} == {*"abc"} and {pick("abc", (1, 0, 1)) for _ in range(100)} == {*"ac"}
    assert 150 < sum(chance(0.25) for _ in range(1000)) < 350
    orders = {tuple(shuffled("abc")) for _ in range(200)}
    assert len(orders) == 6 and all(sorted(order) == [*"abc"] for order in orders)
