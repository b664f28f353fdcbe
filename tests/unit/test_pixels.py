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


def test_an_elastic_tanh_is_tanh_with_a_way_back_from_its_ends():
    x = torch.tensor([-6.0, -6.0, -1.0, 0.5, 6.0, 6.0], requires_grad=True)
    out = elastic_tanh(x)
    assert torch.equal(out, x.tanh())
    grad = torch.tensor([1.0, -1.0, 2.0, 1.0, 1.0, -1.0])
    out.backward(grad)
    plain = grad * (1 - x.detach().tanh() ** 2)
    expected = torch.tensor([plain[0], -FLOOR, plain[2], plain[3], FLOOR, plain[5]])  # down from 1 and up from -1 is inwards
    torch.testing.assert_close(x.grad, expected)
    with torch.inference_mode():
        assert torch.equal(elastic_tanh(x), out)


def test_the_default_networks_come_back_from_black():
    """Three moves towards white from a generator that was pushed far into black: its pixels move, where those of a plain tanh do not."""
    moved = []
    for end in (elastic_tanh, squashed):
        raw = torch.full((8, 1, 4, 4), -6.0, requires_grad=True)
        optimizer = torch.optim.SGD([raw], 20.0)
        for _ in range(3):
            optimizer.zero_grad()
            (1 - end(raw)).sum().backward()
            optimizer.step()
        moved.append(float((raw + 6).mean()))
    assert moved[0] > 0.59 > 0.01 > moved[1]
