"""From what a generator's last layer gives to pixels in [-1, 1]."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def squashed(x: Tensor) -> Tensor:
    """tanh, in float32: any numbers -> the same shape in (-1, 1).

    In bf16 tanh is exactly -1 from about -3.5 on, and its slope there exactly 0: a generator that overshoots would stay blank for good.
    """
    return x.float().tanh()


def elastic_tanh(x: Tensor) -> Tensor:
    """(n, c, h, w) -> the same in (-1, 1): tanh, in float32, with a gradient that leads blank images back.

    The first thing that a critic learns is often the mean brightness, and a generator without norms follows it to black within
    twenty steps. From there the true slope leads back so slowly that runs stayed black for a third of their budget (docs/LOG.md). So in
    images whose mean slope is below BLANK every slope counts as FLOOR at least, for gradients that lead inwards. All others get tanh's.
    """
    return cast(Tensor, _ElasticTanh.apply(x.float())) if torch.is_grad_enabled() else squashed(x)


BLANK, FLOOR = 0.03, 0.1
"""A mean slope of 0.03 is that of an image whose pixels are all at -0.985."""


class _ElasticTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.tanh()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        slope = 1 - out * out
        blank = slope.mean((1, 2, 3), keepdim=True) < BLANK
        inwards = grad * out > 0  # descent goes against the gradient
        return grad * torch.where(blank & inwards, slope.clamp_min(FLOOR), slope)
