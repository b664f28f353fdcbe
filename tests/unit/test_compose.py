"""Finished images: plain results at the start, known pixels and luma untouched, colours by hand, facts of the network handed on."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

from ganforge.networks.image import compose
from ganforge.networks.image.compact import Compact
from ganforge.networks.image.compose import Colour, Enlarge, Fill, Residual, UnitRange
from ganforge.networks.image.resnet_aa import ResNet
from ganforge.networks.image.resunet import ResUNet
from ganforge.networks.image.rrdb import RRDB
from ganforge.networks.image.translator import Translator


class Drawn(Translator):
    """A network that draws what it is told to."""

    inputs = reach = 0

    def __init__(self, drawn, scale=1):
        super().__init__()
        self.drawn, self.scale = drawn, scale

    def forward(self, x):
        return self.drawn


def colours(n=64, side=8):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(3)) * 2 - 1


def images(*shape):
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.parametrize("net", [ResUNet, Compact, lambda a, b: RRDB(a, b, 4, 2, 1, 1)], ids=["resunet", "compact", "rrdb"])
@pytest.mark.parametrize("size", [(1, 1), (9, 14)])
def test_before_any_training_the_result_is_the_plain_one_exactly(net, size):
    x = images(3, *size)
    assert torch.equal(Residual(net(3, 3))(x), x)
    mask = (torch.rand(2, 1, *size) > 0.5).float()
    assert torch.equal(Fill(net(4, 3))(torch.cat([x, mask], 1)), x)
    assert torch.equal(Colour(net(1, 2))(x[:, :1]), x[:, :1].expand(-1, 3, -1, -1))
    hints = torch.cat([x[:, :1], torch.zeros(2, 3, *size)], 1)
    assert torch.equal(Colour(net(4, 2))(hints), x[:, :1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_before_any_training_enlargements_are_bicubic_exactly(scale):
    x = images(3, 5, 7)
    wanted = interpolate(x, scale_factor=scale, mode="bicubic")
    for net in (ResUNet(3, 3, scale=scale), Compact(3, 3, scale=scale), RRDB(3, 3, 4, 2, 1, scale)):
        assert torch.equal(Enlarge(net)(x), wanted)


def test_bicubic_by_hand():
    """A step from 0 to 1 between pixels 3 and 4, twice as large: pixel 8 lies at 3.75, so that 4 and 5 are 1/4 and 5/4 away."""
    x = torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]).expand(1, 1, 8, 8)
    a = -0.75  # Keys' cubic, for distances below and above 1
    near, far = (a + 2) * 0.25**3 - (a + 3) * 0.25**2 + 1, a * 1.25**3 - 5 * a * 1.25**2 + 8 * a * 1.25 - 4 * a
    found = Enlarge(Drawn(torch.zeros(1, 1, 16, 16), 2))(x)[0, 0, 8]
    assert found[8].item() == pytest.approx(near + far, abs=1e-6)
    assert found[:4].abs().max() == 0 and (found[12:] - 1).abs().max() < 1e-6
    assert found[7].item() + found[8].item() == pytest.approx(1, abs=1e-6)


def test_sums_by_hand():
    x = images(3, 4, 4)
    torch.testing.assert_close(Residual(Drawn(torch.full_like(x, 0.25)))(x), x + 0.25)
    large = Enlarge(Drawn(torch.full((2, 3, 8, 8), 0.25), 2))(x)
    torch.testing.assert_close(large, interpolate(x, scale_factor=2, mode="bicubic") + 0.25)
    torch.testing.assert_close(UnitRange(Drawn(torch.tensor([0.0, 0.5, 1.0])))(x), torch.tensor([-1.0, 0, 1]))


def test_networks_of_the_unit_range_see_it():
    seen = []
    net = Drawn(torch.zeros(1))
    net.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    UnitRange(net)(torch.tensor([-1.0, 0, 1]))
    assert seen[0].tolist() == [0, 0.5, 1]


def test_known_pixels_stay_bit_by_bit_whatever_the_network_draws():
    x = images(3, 6, 6)
    x[0, 0, 0, :3] = torch.tensor([-0.0, 1e-40, 3.0])  # negative zero, a denormal, out of range
    mask = torch.zeros(2, 1, 6, 6)
    mask[:, :, 2:4, 2:4] = 1
    for drawn in (torch.randn(2, 3, 6, 6) * 100, torch.full((2, 3, 6, 6), math.nan), torch.full((2, 3, 6, 6), math.inf)):
        filled = Fill(Drawn(drawn))(torch.cat([x, mask], 1))
        hole = mask.expand_as(x) > 0
        assert torch.equal(filled.view(torch.int32)[~hole], x.view(torch.int32)[~hole])
        if drawn.isfinite().all():
            torch.testing.assert_close(filled[hole], (x + drawn)[hole])
    soft = Fill(Drawn(torch.ones(2, 3, 6, 6)))(torch.cat([x, mask / 4], 1))
    torch.testing.assert_close(soft[hole], x[hole] + 0.25)


def test_the_network_that_fills_learns_from_holes_only():
    drawn = torch.zeros(1, 3, 4, 4, requires_grad=True)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 1, 2] = 1
    Fill(Drawn(drawn))(torch.cat([images(3, 4, 4)[:1], mask], 1)).sum().backward()
    assert torch.equal(drawn.grad, mask.expand_as(drawn))


def test_luma_and_chroma_are_those_of_jpeg():
    x = colours(1, 32)
    pixels = ((x[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    wanted = torch.from_numpy(np.asarray(Image.fromarray(pixels).convert("YCbCr")).copy()).permute(2, 0, 1).float()
    exact = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()[None] / 127.5 - 1
    assert ((compose.luma(exact)[0] + 1) * 127.5 - wanted[:1]).abs().max() < 1.01
    assert (compose.chroma(exact)[0] * 127.5 + 128 - wanted[1:]).abs().max() < 1.01
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1)
    assert compose.luma(red).item() == pytest.approx(2 * 0.299 - 1)
    torch.testing.assert_close(compose.chroma(red).flatten(), torch.tensor([-0.299 * 2 / 1.772, 1.0]))


def test_colours_come_back_from_luma_and_chroma():
    x = colours()
    torch.testing.assert_close(compose.coloured(compose.luma(x), compose.chroma(x)), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0, 1e6])
def test_luma_is_kept_whatever_the_chroma_and_colours_stay_in_range(strength):
    y = compose.luma(colours())
    y[0, 0, 0, :2] = torch.tensor([1.0, -1.0])
    x = Colour(Drawn(torch.randn(64, 2, 8, 8) * strength))(y)
    assert (compose.luma(x) - y).abs().max() < 1e-5
    assert x.abs().max() < 1 + 1e-5
    assert (x[0, :, 0, 0] - 1).abs().max() < 1e-5 and (x[0, :, 0, 1] + 1).abs().max() < 1e-5  # white and black have no colour


def test_a_colour_that_does_not_exist_becomes_the_most_vivid_of_its_hue_by_hand():
    y, wanted = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    x = compose.coloured(y, wanted)  # red would be 0.5 + 1.402: there is room for 0.5
    share = 0.5 / 1.402
    torch.testing.assert_close(x.flatten(), torch.tensor([1.0, 0.5 - share * 0.299 * 1.402 / 0.587, 0.5]))
    torch.testing.assert_close(compose.chroma(x), wanted * share)
    dark = compose.coloured(-y, -wanted)
    torch.testing.assert_close(dark, -x)
    outside = compose.coloured(torch.full((1, 1, 1, 1), 1.2), wanted)
    assert outside.flatten().tolist() == pytest.approx([1.2] * 3)


def test_gradients_through_colours_are_finite_at_grey_and_beyond_the_gamut():
    for start in (0.0, 5.0):
        drawn = torch.full((1, 2, 2, 2), start, requires_grad=True)
        y = torch.tensor([0.0, 1.0, -1.0, 0.3]).view(1, 1, 2, 2)
        (Colour(Drawn(drawn))(y) * torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)).sum().backward()
        assert drawn.grad.isfinite().all() and drawn.grad[..., 0, 0].abs().sum() > 0


def test_facts_of_the_network_are_handed_on():
    net = ResUNet(3, 3, 4)
    whole = Residual(net)
    assert (whole.scale, whole.reach, whole.exact, whole.modulus) == (1, net.reach, True, 8)
    assert (Residual(ResNet(3, 3, 4, 1)).exact, Enlarge(Compact(3, 3, 4, 1, 3)).scale) == (False, 3)
    assert Enlarge(Drawn(torch.zeros(1), 2)).reach == 2  # bicubic sees two pixels
    x = torch.zeros(1, 1, 1, 11)
    x[..., 5] = 1
    assert Enlarge(Drawn(torch.zeros(1), 4))(x)[0, 0, 0].nonzero().flatten().tolist() == list(
        range(14, 30)
    )  # 2 pixels to each side, in part


def test_networks_that_do_not_fit_are_refused():
    for wrapper in (Residual, Fill, Colour):
        with pytest.raises(ValueError, match=f"{wrapper.__name__} keeps the size.*enlarges 2 times"):
            wrapper(Compact(3, 3, scale=2))
    with pytest.raises(ValueError, match="Use Residual"):
        Enlarge(Compact(3, 3))


def test_weights_are_kept_under_the_network():
    assert all(name.startswith("net.") for name in Residual(Compact(3, 3)).state_dict())
    assert isinstance(Residual(Compact(3, 3)).net, nn.Module)
