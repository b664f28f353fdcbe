"""Published weights: found out by names and shapes, equal to the published networks written out here, wrong ones told in words."""

import re

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, interpolate, leaky_relu, pixel_shuffle, pixel_unshuffle, prelu

from ganforge.networks.image import community
from ganforge.networks.image.compact import Compact
from ganforge.networks.image.rrdb import RRDB


def weights(net, seed=1):
    torch.manual_seed(seed)
    return {name: torch.randn(array.shape) * 0.2 for name, array in net.state_dict().items()}


def srvgg(w, x, scale):
    """The compact network of Real-ESRGAN on pixels in [0, 1], from its description."""
    h, last = x, max(int(name.split(".")[1]) for name in w)
    for i in range(last + 1):
        h = prelu(h, w[f"body.{i}.weight"]) if i % 2 else conv2d(h, w[f"body.{i}.weight"], w[f"body.{i}.bias"], padding=1)
    return pixel_shuffle(h, scale) + interpolate(x, scale_factor=scale)


def esrgan(w, x, folded=1):
    """RRDB of ESRGAN on pixels in [0, 1], from its description."""

    def conv(name, h):
        return conv2d(h, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)

    def dense(name, h):
        all_of = [h]
        for i in range(1, 5):
            all_of.append(leaky_relu(conv(f"{name}.conv{i}", torch.cat(all_of, 1)), 0.2))
        return conv(f"{name}.conv5", torch.cat(all_of, 1)) * 0.2 + h

    first = h = conv("conv_first", pixel_unshuffle(x, folded))
    for i in range(sum(name.endswith("rdb1.conv1.bias") for name in w)):
        h = dense(f"body.{i}.rdb3", dense(f"body.{i}.rdb2", dense(f"body.{i}.rdb1", h))) * 0.2 + h
    h = first + conv("conv_body", h)
    for i in range(1, 1 + sum("conv_up" in name for name in w) // 2):
        h = leaky_relu(conv(f"conv_up{i}", interpolate(h, scale_factor=2)), 0.2)
    return conv("conv_last", leaky_relu(conv("conv_hr", h), 0.2))


def same(net, reference, size=(8, 12)):
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close((net(x * 2 - 1) + 1) / 2, reference(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_compact_network_is_found_out_and_draws_the_same(scale, tmp_path):
    w = weights(Compact(3, 3, 6, 2, scale))
    save_file(w, tmp_path / "net.safetensors")
    net, facts = community.load(tmp_path / "net.safetensors")
    count = sum(array.numel() for array in w.values())
    assert facts == {
        "architecture": "compact", "inputs": 3, "outputs": 3, "width": 6, "blocks": 2, "scale": scale, "parameters": count,
    }  # fmt: skip
    assert (net.scale, net.reach, net.exact, net.training) == (scale, 4, True, False)
    same(net, lambda x: srvgg(w, x, scale))


@pytest.mark.parametrize("scale, folded", [(4, 1), (2, 2), (1, 4), (2, 1), (1, 1)])
def test_rrdb_is_found_out_and_draws_the_same(scale, folded, tmp_path):
    w = weights(RRDB(3, 3, 6, 4, 2, scale, folded=folded))
    save_file(w, tmp_path / "net.safetensors")
    net, facts = community.load(str(tmp_path / "net.safetensors"))
    assert (facts["architecture"], facts["width"], facts["grow"], facts["blocks"], facts["scale"]) == ("rrdb", 6, 4, 2, scale)
    assert net.scale == scale and net.modulus == folded
    same(net, lambda x: esrgan(w, x, folded))


def second_names(w):
    for new, old in (
        (r"^body\.", "RRDB_trunk."),
        ("conv_body", "trunk_conv"),
        ("conv_up", "upconv"),
        ("conv_hr", "HRconv"),
        (r"\.rdb", ".RDB"),
    ):
        w = {re.sub(new, old, name): array for name, array in w.items()}
    return w


def first_names(w, blocks, places):
    outer = {"conv_first": "model.0", "conv_body": f"model.1.sub.{blocks}"} | places
    renamed = {}
    for name, array in w.items():
        layer, kind = name.rsplit(".", 1)
        inner = re.sub(r"body\.(\d+)\.rdb(\d)\.conv(\d)", r"model.1.sub.\1.RDB\2.conv\3.0", layer)
        renamed[f"{outer.get(layer, inner)}.{kind}"] = array
    return renamed


def test_older_names_of_esrgan_are_the_same_network():
    w = weights(RRDB(3, 3, 6, 4, 2))
    places = {"conv_up1": "model.3", "conv_up2": "model.6", "conv_hr": "model.8", "conv_last": "model.10"}
    old = first_names(w, 2, places)
    assert {"model.1.sub.1.RDB3.conv5.0.weight", "model.1.sub.2.bias", "model.10.weight"} <= old.keys() and len(old) == len(w)
    for renamed in (second_names(w), old):
        assert renamed.keys() != w.keys()
        net, facts = community.built(renamed)
        assert facts["scale"] == 4
        same(net, lambda x: esrgan(w, x))
    twice = weights(RRDB(3, 3, 6, 4, 1, 2, folded=1))
    net, _ = community.built(first_names(twice, 1, {"conv_up1": "model.3", "conv_hr": "model.5", "conv_last": "model.7"}))
    same(net, lambda x: esrgan(twice, x))


def test_averaged_weights_are_preferred_and_prefixes_and_half_precision_do_not_matter(tmp_path):
    good, bad = weights(Compact(3, 3, 4, 1, 2)), weights(Compact(3, 3, 4, 1, 2), seed=2)
    good = {name: array.half().float() for name, array in good.items()}
    both = {f"params.{n}": a for n, a in bad.items()} | {f"params_ema.module.{n}": a.half() for n, a in good.items()}
    same(community.built(both)[0], lambda x: srvgg(good, x, 2))
    torch.save({"params_ema": good, "params": bad}, tmp_path / "net.pth")
    same(community.load(tmp_path / "net.pth")[0], lambda x: srvgg(good, x, 2))
    torch.save(good, tmp_path / "plain.pth")
    same(community.load(tmp_path / "plain.pth")[0], lambda x: srvgg(good, x, 2))
    same(community.built({f"params.{n}": a for n, a in good.items()})[0], lambda x: srvgg(good, x, 2))


def test_odd_sizes_work_where_pixels_are_folded():
    net, _ = community.built(weights(RRDB(3, 3, 6, 4, 1, 2)))
    assert net(torch.zeros(1, 3, 7, 5)).shape == (1, 3, 14, 10)


def test_a_file_that_would_run_code_runs_none(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'was-here')!r}, 'w')",))

    torch.save({"params": weights(Compact(3, 3, 4, 1)), "more": Evil()}, tmp_path / "evil.pth")
    community.load(tmp_path / "evil.pth")
    assert not (tmp_path / "was-here").exists()


def test_what_is_not_there_or_no_weights_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.pth cannot be read as weights: No such file"):
        community.load(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.pth cannot be read as weights: it is damaged"):
        community.load(tmp_path / "text.pth")
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: these are no weights of a compact network .* found a\.weight"):
        community.load(tmp_path / "other.safetensors")


def changed(w, **arrays):
    return {name: array for name, array in (w | {k.replace("__", "."): v for k, v in arrays.items()}).items() if array is not None}


COMPACT, DENSE = weights(Compact(3, 3, 4, 2, 2)), weights(RRDB(3, 3, 6, 4, 2))


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({}, "found nothing"),
        (changed(COMPACT, body__3__weight=None), "chain of convolutions"),
        (changed(COMPACT, body__1__weight=torch.zeros(4, 4, 3, 3)), "chain of convolutions"),
        (changed(COMPACT, body__999999999__weight=torch.zeros(4)), "chain of convolutions"),
        (changed(COMPACT, body__2__bias=None), "1 arrays are missing, such as body.2.bias"),
        (changed(COMPACT, body__2__bias=torch.zeros(5)), r"body.2.bias should have shape \(4,\); it has \(5,\)"),
        (changed(COMPACT, body__2__bias=torch.full((4,), torch.nan)), "body.2.bias holds numbers that are not finite"),
        (changed(COMPACT, extra=torch.zeros(1)), "no place in this network, such as extra"),
        (changed(COMPACT, body__6__weight=torch.zeros(13, 4, 3, 3)), "1, 4, 9 or 16 times .* draws 13"),
        (changed(COMPACT, body__0__weight=torch.zeros(4, 3, 5, 5)), r"body.0.weight should be a 3x3 .* shape \(4, 3, 5, 5\)"),
        (changed(COMPACT, body__0__weight=torch.zeros(4, 0, 3, 3)), "should be a 3x3"),
        (changed(DENSE, conv_last__weight=None), "conv_last.weight should be a 3x3 convolution; it is missing"),
        (changed(DENSE, conv_first__weight=torch.zeros(6, 5, 3, 3)), "got 5 channels in, 3 out and 2"),
        (changed(DENSE, conv_up3__weight=torch.zeros(6, 6, 3, 3)), "3 enlargements"),
        (changed(DENSE, body__7__rdb1__conv1__weight=torch.zeros(1)), r"without gaps; got \[0, 1, 7\]"),
        ({"model.0.weight": torch.zeros(6, 3, 3, 3), "model.2.weight": torch.zeros(6, 3, 3, 3)}, "ends with two convolutions"),
        (first_names(DENSE, 2, {}) | {"model.4.weight": torch.zeros(1), "model.6.weight": torch.zeros(1)}, "variant that is not read"),
    ],
)
def test_wrong_weights_are_told_in_words(wrong, says):
    with pytest.raises(ValueError, match=says):
        community.built(wrong)
