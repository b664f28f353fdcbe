"""Layers that change a map's size: torch's results by a quicker way."""

import pytest
import torch
from torch import nn

from ganforge.networks.image import strided


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def layer(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, up: bool) -> torch.Tensor:
    return strided._Conv.apply(x, weight, bias, strided._Way.apply((x,), weight, up), up)


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_gradients_of_the_first_and_second_order_are_exact(up):
    x, weight, bias = numbers(3, 4, 4, 6), numbers(*((4, 2) if up else (2, 4)), 4, 4), None if up else numbers(2)
    arguments = (x, weight, bias, up)
    assert torch.autograd.gradcheck(layer, arguments) and torch.autograd.gradgradcheck(layer, arguments)


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_nothing_is_computed_for_weights_whose_gradient_nobody_asked_for(up, monkeypatch):
    monkeypatch.setattr(strided, "_of_weights", None)
    x, weight = numbers(3, 4, 4, 6), numbers(*((4, 2) if up else (2, 4)), 4, 4)
    layer(x, weight, None, up).sum().backward(inputs=[x])
    assert x.grad.abs().sum() > 0
    with pytest.raises(TypeError):
        layer(x, weight, None, up).sum().backward()


@pytest.mark.parametrize("layer, side", [(strided.Down(16, 32), 16), (strided.Up(32, 16), 8)], ids=["down", "up"])
def test_in_bf16_a_layer_gives_what_torchs_gives_and_gradients_as_near_to_the_exact_ones(layer, side, monkeypatch):
    x = torch.randn(8, layer.in_channels, side, side)
    results = {}
    for way in ("torch", "ours", "exact"):
        layer.zero_grad(), monkeypatch.setattr(strided, "SIDE", 8 if way == "ours" else 0)
        moved = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=way != "exact"):
            y = layer(moved)
        assert ("_Conv" in type(y.grad_fn).__name__) == (way == "ours")
        y.float().square().mean().backward()
        results[way] = [y.float(), moved.grad, *(p.grad for p in layer.parameters())]
    assert torch.equal(results["ours"][0], results["torch"][0])
    for ours, torchs, exact in zip(*results.values(), strict=True):
        assert ours.dtype == exact.dtype and (ours - exact).norm() <= 1.1 * (torchs - exact).norm() + 0.002 * exact.norm()


def test_the_quicker_way_is_only_taken_where_it_is_one():
    def name(layer, x, dtype=torch.bfloat16):
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            return type(layer(x).grad_fn).__name__

    down, x = strided.Down(16, 16), torch.randn(2, 16, 16, 16, requires_grad=True)
    assert "_Conv" in name(down, x)
    assert "_Conv" not in name(down, x, None)
    assert "_Conv" not in name(down, torch.randn(2, 16, 32, 32))
    assert "_Conv" not in name(strided.Down(3, 16), torch.randn(2, 3, 16, 16))
    assert "_Conv" not in name(down.requires_grad_(False), x)


def test_a_stem_is_a_transposed_convolution_of_one_pixel():
    stem, z = strided.Stem(10, 6, 3, 2), torch.randn(4, 10)
    assert isinstance(stem, nn.ConvTranspose2d) and stem(z).shape == (4, 6, 3, 2)
    torch.testing.assert_close(stem(z), nn.ConvTranspose2d.forward(stem, z[:, :, None, None]))
    assert stem(z).is_contiguous(memory_format=torch.channels_last)
