"""Networks from image to image: any size, how far they see, tiles, no grids, published sizes, results by hand, ONNX."""

import math

import pytest
import torch
from torch import nn

from ganforge.networks.image import resnet_aa, resunet, rrdb, translator
from ganforge.networks.image.compact import Compact
from ganforge.networks.image.compose import Colour, Enlarge, Fill
from ganforge.networks.image.resnet_aa import ResNet
from ganforge.networks.image.resunet import ResUNet
from ganforge.networks.image.rrdb import RRDB

MAKE = {
    "resunet": lambda: ResUNet(3, 3, 4, depth=2, blocks=1),
    "resunet-x2": lambda: ResUNet(3, 3, 4, depth=1, blocks=1, scale=2),
    "resunet-spade": lambda: ResUNet(3, 3, 4, depth=2, blocks=1, spade=True),
    "resunet-spade-x2": lambda: ResUNet(3, 3, 4, depth=1, blocks=2, scale=2, spade=True),
    "compact": lambda: Compact(3, 3, 6, 2),
    "compact-x3": lambda: Compact(3, 3, 6, 2, scale=3),
    "rrdb": lambda: RRDB(3, 3, 4, 2, 1),
    "rrdb-x3": lambda: RRDB(3, 3, 4, 2, 1, scale=3),
    "rrdb-x2": lambda: RRDB(3, 3, 4, 2, 1, scale=2),
    "rrdb-x1": lambda: RRDB(3, 3, 4, 2, 1, scale=1),
    "resnet": lambda: ResNet(3, 3, 4, 1),
    "resnet-residual": lambda: ResNet(3, 3, 4, 1, residual=True),
}
EXACT = [name for name in MAKE if not name.startswith("resnet")]
RESIZED = [name for name in MAKE if name not in ("resunet-x2", "resunet-spade-x2", "compact-x3")]
"""Those that do not shuffle pixels."""


def awake(name, seed=0):
    """A network of which nothing starts at zero any more."""
    torch.manual_seed(seed)
    net = MAKE[name]().eval()
    for parameter in net.parameters():
        if (parameter == 0).all():
            nn.init.normal_(parameter, 0, 0.3)
    return net


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 2), (7, 22), (16, 16)])
def test_any_size_gives_that_size_times_the_scale(name, size):
    net = awake(name)
    x = net(torch.randn(2, 3, *size))
    assert x.shape == (2, 3, size[0] * net.scale, size[1] * net.scale) and x.isfinite().all()


@pytest.mark.parametrize("name", EXACT)
def test_restorers_start_at_zero_and_all_but_the_head_does_not(name):
    net = MAKE[name]()
    assert (net(torch.randn(1, 3, 9, 8)) == 0).all()
    still = [key for key, p in net.named_parameters() if p.ndim == 4 and (p == 0).all()]
    assert all(key.startswith(("head", "conv_last", "body.6")) or "narrow" in key or "join" in key for key in still) and still


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("axis", [2, 3])
def test_nothing_outside_reach_matters_and_reach_is_no_larger_than_it_need_be(name, axis):
    net = awake(name).double()
    gain = 2 if "unet" in name else 200  # without norms, so large that the longest way through counts most
    for parameter in net.parameters():  # positive, so that nothing cancels out
        parameter.data = torch.rand_like(parameter) * (gain / parameter[0].numel() if parameter.ndim > 1 else 1)
    far, modulus = net.reach, net.modulus
    size = [1, 3, 3, 3]
    size[axis] = (2 * far + 3 * modulus) // modulus * modulus
    x = torch.rand(size, dtype=torch.float64)
    seen = 0
    with torch.no_grad():
        before = net(x)
        for at in range(far, far + modulus + 1):
            other = x.clone()
            other.select(axis, at)[:] += 1
            changed = (net(other) != before).any(1).any(4 - axis).flatten().nonzero().flatten() // net.scale
            assert (changed - at).abs().max() <= far
            seen = max(seen, (changed - at).abs().max().item())
    assert seen == far


@pytest.mark.parametrize("name", EXACT)
def test_tiles_with_a_margin_of_reach_make_the_whole(name):
    net, side = awake(name), 24
    step, scale = net.modulus, net.scale
    margin = math.ceil(net.reach / step) * step  # so that tiles begin at multiples of the modulus
    x = torch.randn(1, 3, 5, 3 * side - 7)
    with torch.no_grad():
        whole = net(x)
        for left in range(0, x.shape[3], side):
            start, right = max(0, left - margin), min(x.shape[3], left + side)
            part = net(x[..., start : min(x.shape[3], right + margin)])[..., (left - start) * scale : (right - start) * scale]
            torch.testing.assert_close(part, whole[..., left * scale : right * scale], rtol=1e-4, atol=1e-5)


def test_reach_by_hand():
    assert Compact(3, 3, 4, 8, 2).reach == 10  # ten 3x3 convolutions
    # 3 * 5 * 23 + 2 below. Above, from pixel 0: 3 quarters of a pixel to -3, half pixel -2, one half further to -3, pixel -2.
    assert RRDB(3, 3, 2, 2, 23).reach == 349
    assert ResUNet(3, 3, 2, depth=0, blocks=3).reach == 5
    assert ResUNet(3, 3, 2, depth=1, blocks=0).reach == 4  # from pixel 0: [-1, 1], bilinear [-1, 1], folded [-2, 3], [-3, 4]
    assert translator.reach([translator.conv(7), translator.conv(3, 2)]) == 5
    assert translator.reach([translator.fold(4), translator.unfold(4)], 1, 4) == 3  # a block of four pixels sees itself


def rough(x):
    """How much of a map alternates from pixel to pixel, at the three corners of the spectrum: (n, c, even, even) -> largest amplitude."""
    columns = 1.0 - 2 * (torch.arange(x.shape[3]) % 2)
    rows = 1.0 - 2 * (torch.arange(x.shape[2]) % 2)[:, None]
    return max((x * wave).mean((2, 3)).abs().max().item() for wave in (columns, rows, columns * rows))


@pytest.mark.parametrize("name", RESIZED)
def test_resized_networks_draw_no_grid_on_plain_areas_whatever_their_weights(name):
    net = awake(name).double()
    with torch.no_grad():
        border = (net.reach // 8 + 1) * 8  # another matter
        side = 2 * border + 16
        x = net(torch.full((1, 3, side, side), 0.3).double())
    border *= net.scale
    middle = x[..., border:-border, border:-border]
    assert middle.abs().mean() > 1e-2 and rough(middle) < 1e-9 and middle.flatten(2).std(2).max() < 1e-9


@pytest.mark.parametrize("make", [lambda: Compact(3, 3, 8, 3, 2), lambda: ResUNet(3, 3, 8, 1, 1, 2)], ids=["compact", "resunet"])
def test_shuffled_networks_draw_no_grid_at_the_start_nor_after_learning_from_smooth_images(make):
    torch.manual_seed(0)
    net = Enlarge(make())
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    plain = torch.full((1, 3, 24, 24), 0.3)
    assert rough(net(plain)) < 1e-6
    for _ in range(40):
        smooth = nn.functional.interpolate(torch.rand(8, 3, 4, 4) * 2 - 1, size=(32, 32), mode="bicubic")
        given = nn.functional.avg_pool2d(smooth, 2)
        optimiser.zero_grad()
        (net(given) - smooth).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        learnt = net(plain)
    assert not torch.allclose(learnt, torch.tensor(0.3), atol=1e-5) and rough(learnt) < 4e-3  # half a step of 8 bits


def test_a_shuffle_that_starts_at_random_would_be_found_out():
    net = awake("compact-x3").double()
    with torch.no_grad():
        x = net(torch.full((1, 3, 40, 40), 0.3).double())[..., 30:-30, 30:-30]
    assert x.std() > 0.1  # on a plain image


def test_sizes_are_the_published_ones():
    with torch.device("meta"):
        assert count(Compact(3, 3, 64, 16, 4)) == 621_424
        assert count(RRDB(3, 3)) == 16_697_987
        assert count(ResUNet(3, 3, 32, depth=4)) == 6_196_131  # as it was before there was SPADE
        assert count(ResNet(3, 3)) == 11_378_179 and count(ResNet(3, 3, blocks=6)) == 7_837_699


def test_names_of_weights_are_those_of_the_released_networks():
    compact, dense = Compact(3, 3, 4, 2).state_dict(), RRDB(3, 3, 4, 2, 2).state_dict()
    assert list(compact)[:4] == ["body.0.weight", "body.0.bias", "body.1.weight", "body.2.weight"] and list(compact)[-1] == "body.6.bias"
    assert {"conv_first.weight", "body.1.rdb3.conv5.bias", "conv_body.weight", "conv_up1.bias", "conv_up2.weight"} <= dense.keys()
    assert {"conv_hr.weight", "conv_last.bias"} <= dense.keys() and len(dense) == 2 * (2 * 15 + 6)


def centred(layer, *values):
    """Make a 3x3 convolution multiply its only input channel by these numbers, one for each channel out."""
    nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    layer.weight.data[:, 0, 1, 1] = torch.tensor(values)


def test_the_compact_network_by_hand():
    net = Compact(1, 1, 1, 1, 2, base=True)
    centred(net.body[0], 1.0), centred(net.body[2], -2.0), centred(net.body[4], 1.0, 10.0, 100.0, 1000.0)
    x = torch.tensor([[[[3.0, -4.0]]]])  # 3 -> 3 -> -6 -> -1.5; -4 -> -1 -> 2 -> 2
    wanted = torch.tensor([[3 - 1.5, 3 - 15, -4 + 2, -4 + 20], [3 - 150, 3 - 1500, -4 + 200, -4 + 2000.0]])
    torch.testing.assert_close(net(x)[0, 0], wanted)


def test_rrdb_by_hand():
    net = RRDB(1, 1, 1, 1, 2, scale=4)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    for layer in (net.conv_first, net.conv_body, net.conv_up1, net.conv_up2, net.conv_hr, net.conv_last):
        centred(layer, 1.0)
    x = torch.rand(1, 1, 2, 3)
    enlarged = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(net(x), enlarged * (1 + 1.2**2))  # dense blocks of nothing are identities, each block adds 0.2 of it
    nn.init.ones_(net.body[0].rdb1.conv5.bias)
    torch.testing.assert_close(net(x), enlarged + (enlarged * 1.2 + 0.2 * 0.2) * 1.2)


def test_a_gated_block_by_hand():
    block = resunet.Block(2)
    x = torch.randn(1, 2, 4, 4)
    assert torch.equal(block(x), x)
    assert resunet.gate(torch.tensor([2.0, 3, 5, 7])).tolist() == [10, 21]
    nn.init.ones_(block.join.weight)
    nn.init.zeros_(block.mix.weight)
    block.mix.bias.data = torch.tensor([2.0, 3, 5, 7])
    torch.testing.assert_close(block(x), x + 31)


def test_a_spade_norm_by_hand():
    norm, x = resunet.Spade(4, 1), torch.tensor([[[[3.0, 5.0] * 2] * 2] * 2])  # every place: -1, 1, -1, 1
    nn.init.zeros_(norm.scale_shift.weight)
    image = torch.rand(1, 1, 2, 2)
    torch.testing.assert_close(norm(x, image), torch.tensor([-1.0, 1.0] * 2).expand(1, 2, 2, 4), rtol=1e-4, atol=0)
    norm.scale_shift.bias.data = torch.tensor([1.0, 2, 3, 4, 10, 20, 30, 40])
    torch.testing.assert_close(norm(x, image), torch.tensor([-2.0 + 10, 3 + 20, -4 + 30, 5 + 40]).expand(1, 2, 2, 4), rtol=1e-4, atol=0)
    centred(norm.look, 1.0, -1.0)  # what is below 0 is not seen
    centred(norm.scale_shift, 2.0, *[0.0] * 4, 1.0, 0.0, 0.0)
    one = torch.ones_like(image[:, 0])
    wanted = torch.stack([-1 - 2 * image[:, 0], 1 + image[:, 0], -one, one], 3)
    torch.testing.assert_close(norm(x, image), wanted, rtol=1e-4, atol=1e-5)


def test_spade_tells_plain_labels_apart_that_the_rest_of_the_network_does_not_see():
    """With nothing coming in from the encoder, only the norms of the decoder know what the input is."""
    for spade in (False, True):
        net = ResUNet(3, 3, 4, depth=2, blocks=1, spade=spade)
        for parameter in net.parameters():
            if (parameter == 0).all():
                nn.init.normal_(parameter, 0, 0.3)
        nn.init.zeros_(net.stem.weight)
        dark, light = (net(torch.full((1, 3, 16, 16), shade)) for shade in (-0.5, 0.5))
        assert torch.allclose(dark, light) != spade


def test_spade_sees_the_input_in_the_size_of_every_level():
    net, seen = ResUNet(3, 3, 4, depth=3, blocks=2, spade=True), []
    for norm in (m for m in net.modules() if isinstance(m, resunet.Spade)):
        norm.register_forward_hook(lambda _, given, out: seen.append(given))
    x = torch.randn(1, 3, 16, 24)
    net(x)
    assert [given[1].shape[2:] for given in seen] == [(4, 6)] * 4 + [(8, 12)] * 4 + [(16, 24)] * 4
    assert all(given[0].shape[1:3] == given[1].shape[2:] for given in seen)
    assert torch.equal(seen[-1][1], x) and torch.allclose(seen[0][1][..., 0, 0], x[..., :4, :4].mean((2, 3)), atol=1e-6)


def test_the_norms_of_a_gated_block_do_not_see_neighbours():
    block = resunet.Block(4)
    nn.init.ones_(block.join.weight)
    x = torch.randn(1, 4, 3, 3)
    other = x.clone()
    other[..., 0, 0] *= 100
    assert ((block(other) != block(x)).any(1)[0] == torch.tensor([[True, False, False]] + [[False] * 3] * 2)).all()


def test_down_and_up_keep_plain_areas_and_ramps_where_they_are():
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 16, 16)
    halved = resnet_aa.smooth(nn.functional.pad(ramp, (1, 1, 1, 1), mode="replicate"), 0, stride=2)
    torch.testing.assert_close(halved[0, 0, 3, 1:-1], torch.arange(2.5, 14, 2)[:6])
    torch.testing.assert_close(resnet_aa.double(halved)[..., 4:-4], ramp[..., 4:-4])


def test_features_are_those_of_the_forward_and_stop_at_the_last():
    net, x = ResNet(3, 3, 4, 9), torch.randn(2, 3, 17, 20)
    assert net.taps == (0, 2, 3, 4, 8)  # as CUT: the image, both halvings, the first and the fifth block
    maps = net.features(x)
    assert [tuple(m.shape[1:]) for m in maps] == [(3, 24, 24), (8, 12, 12), (16, 6, 6), (16, 6, 6), (16, 6, 6)]
    assert torch.equal(maps[0][..., :17, :20], x)
    (last,) = net.features(x, [12])
    torch.testing.assert_close(resnet_aa.squashed(net.head(net.decoder(last)))[..., :17, :20], net(x))
    with pytest.raises(ValueError, match="layers 0 to 12; got"):
        net.features(x, [13])


def test_a_residual_generator_starts_with_what_it_is_given_and_learns_at_once():
    torch.manual_seed(0)
    net, x = ResNet(3, 3, 4, 1, residual=True), torch.randn(2, 3, 17, 20)
    assert torch.equal(net(x), x)
    net(x).square().sum().backward()
    assert net.head.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="got 1 in and 3 out"):
        ResNet(1, 3, residual=True)


@pytest.mark.parametrize("make", [lambda: Compact(3, 3, scale=5), lambda: ResUNet(3, 3, scale=0), lambda: RRDB(3, 3, 4, 2, 1, scale=8)])
def test_other_scales_are_refused(make):
    with pytest.raises(ValueError, match="1, 2, 3 or 4 times; got"):
        make()


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="1 outputs"):
        Compact(3, 1, base=True)
    with pytest.raises(ValueError, match="in all; got scale 4 and folded 2"):
        RRDB(3, 3, 4, 2, 1, 4, folded=2)
    assert rrdb.RRDB(3, 3, 4, 2, 1, 2, folded=1)(torch.rand(1, 3, 5, 5)).shape == (1, 3, 10, 10)


@pytest.mark.parametrize("name", ["resunet", "compact", "rrdb", "resnet"])
@pytest.mark.parametrize("side", [16, 48])
def test_starts_are_of_order_one(name, side):
    """What goes into the last layer neither vanishes nor explodes in the sizes that are used."""
    torch.manual_seed(0)
    net = {"resunet": ResUNet, "compact": Compact, "rrdb": lambda a, b: RRDB(a, b, 32, 16, 4), "resnet": lambda a, b: ResNet(a, b, 16)}[
        name
    ](3, 3)
    head = {"resunet": "head", "compact": "body.18", "rrdb": "conv_last", "resnet": "head"}[name]
    seen = []
    net.get_submodule(head).register_forward_hook(lambda _, x, out: seen.append(x[0]))
    net(torch.rand(4, 3, side, side) * 2 - 1)
    assert 0.1 < seen[0].std() < 3


@pytest.mark.parametrize("name", ["resunet", "resunet-spade", "compact-x3", "rrdb-x2", "resnet"])
def test_channels_last_changes_nothing(name):
    net, x = awake(name), torch.randn(2, 3, 16, 16)
    wanted = net(x)
    found = net.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


ONNX = {
    "enlarge-compact": (lambda: Enlarge(awake("compact-x3")), 3),
    "enlarge-rrdb": (lambda: Enlarge(awake("rrdb-x2")), 3),
    "resnet": (lambda: awake("resnet"), 3),
    "fill-compact": (lambda: Fill(Compact(4, 3, 4, 1)), 4),
    "spade": (lambda: awake("resunet-spade"), 3),
    "colour-resunet": (lambda: Colour(ResUNet(1, 2, 4, depth=2, blocks=1)), 1),
}


@pytest.mark.parametrize("name", ONNX)
def test_exported_to_onnx_with_sizes_left_open_they_give_the_same(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    make, channels = ONNX[name]
    net = make().eval()
    for parameter in net.parameters():
        if (parameter == 0).all():
            nn.init.normal_(parameter, 0, 0.3)
    sizes = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=1), 3: torch.export.Dim("w", min=1)}
    torch.onnx.export(net, (torch.rand(2, channels, 19, 22),), tmp_path / "net.onnx", dynamo=True, dynamic_shapes=(sizes,), verbose=False)
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for shape in ((1, channels, 7, 30), (3, channels, 16, 5)):
        x = torch.rand(shape) * 2 - 1
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), net(x), rtol=1e-3, atol=1e-4)
