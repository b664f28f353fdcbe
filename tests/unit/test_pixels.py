"""Generators come back from black."""

from __future__ import annotations

import torch

from ganforge.networks.image.pixels import FLOOR, elastic_tanh, squashed


def test_an_overshooting_tanh_still_gets_a_gradient_in_bf16():
    """tanh of -6 in bf16 is -1, with a slope of exactly 0."""
    with torch.autocast("cpu", torch.bfloat16):
        raw = torch.full((4,), -6.0, dtype=torch.bfloat16, requires_grad=True)
        out = squashed(raw)
        out.sum().backward()
    assert out.dtype == torch.float32 and (out > -1).all() and (raw.grad > 0).all()
    blunt = torch.full((4,), -6.0, dtype=torch.bfloat16, requires_grad=True)
    blunt.tanh().sum().backward()
    assert not blunt.grad.any()  # what this guards against


def test_an_elastic_tanh_is_tanh_with_a_way_back_for_blank_images():
    blank, white, half = torch.full((1, 2, 2), -6.0), torch.full((1, 2, 2), 6.0), torch.tensor([[[-6.0, 0.5], [1.0, -1.0]]])
    x = torch.stack([blank, white, half]).requires_grad_()
    out = elastic_tanh(x)
    assert torch.equal(out, x.tanh())
    grad = torch.tensor([1.0, -1.0]).expand(3, 1, 2, 2)
    out.backward(grad)
    expected = grad * (1 - x.detach().tanh() ** 2)
    expected[0, 0, :, 1] = -FLOOR  # up from black
    expected[1, 0, :, 0] = FLOOR  # down from white
    torch.testing.assert_close(x.grad, expected)
    with torch.inference_mode():
        assert torch.equal(elastic_tanh(x), out)
