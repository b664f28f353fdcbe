"""Layers that change the size of a map: torch's own, in their weights and results, with quicker ways through them on a processor.

A bf16 processor takes twice as long for the gradient of a convolution's weights as for the convolution. The same sum is a convolution
again, of the layer's input with the gradient of its output, where examples and channels change places, so that the quick kernel does it;
its dilation is the layer's stride. benchmarks/speed.py shows what that is worth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv2d, conv_transpose2d

SIDE, CHANNELS = 8, 16
"""Up to which side of the smaller map, and from how many channels on, that way is the quicker one."""


class Stem(nn.ConvTranspose2d):
    """z (n, a) -> (n, b, height, width): every pixel its own linear map of z, as one matrix product."""

    def __init__(self, a: int, b: int, height: int, width: int) -> None:
        super().__init__(a, b, (height, width), bias=False)

    def forward(self, z: Tensor) -> Tensor:  # type: ignore[override]
        flat = self.weight.permute(0, 2, 3, 1)
        return (z @ flat.flatten(1)).unflatten(1, flat.shape[1:]).permute(0, 3, 1, 2)


class Down(nn.Conv2d):
    """(n, a, h, w) -> (n, b, h / 2, w / 2) for even sizes: a 4x4 convolution of stride 2."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight  # once: under a constraint every look at it costs, and moves, something
        if not _pays(x, weight, max(x.shape[2:]) // 2):
            return conv2d(x, weight, self.bias, 2, 1)
        x, weight = x.bfloat16(), weight.bfloat16()
        return _Conv.apply(x, weight, self.bias, _Way.apply((x,), weight, False), False)


class Up(nn.ConvTranspose2d):
    """(n, a, h, w) -> (n, b, 2 h, 2 w): a transposed 4x4 convolution of stride 2, without a bias."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b, 4, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        weight = self.weight  # once, as above
        if not _pays(x, weight, max(x.shape[2:])):
            return conv_transpose2d(x, weight, None, 2, 1)
        x, weight = x.bfloat16(), weight.bfloat16()
        return _Conv.apply(x, weight, None, _Way.apply((x,), weight, True), True)


class _Conv(Function):
    """x, weight, bias -> the layer's output, transposed if `up`. The weights' gradient takes the `way`; backward can be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, way: Tensor, up: bool) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.up = up
        return (conv_transpose2d if up else conv2d)(x, weight, None if bias is None else bias.to(x.dtype), 2, 1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        images = (conv2d if ctx.up else conv_transpose2d)(g, weight, None, 2, 1) if ctx.needs_input_grad[0] else None
        return images, None, g.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, g, None


class _Way(Function):
    """(x,), weight -> zeros like the layer's output, to be handed to `_Conv`: what comes back there becomes the weights' gradient.

    A node of its own, since autograd leaves out nodes that lead to nothing it was asked for, but tells no node which part of it that is:
    when a generator learns, nothing shall be computed for its critic's weights. So no edge leads from here to x, which hides in a tuple;
    it is still the x of the graph, and what backward makes of it can be differentiated.
    """

    @staticmethod
    def forward(ctx: Any, hidden: tuple[Tensor], weight: Tensor, up: bool) -> Tensor:
        (x,), ctx.up = hidden, up
        ctx.save_for_backward(x)
        n, _, height, width = x.shape
        shape = (n, weight.shape[1], 2 * height, 2 * width) if up else (n, weight.shape[0], height // 2, width // 2)
        return weight.new_zeros(()).expand(shape)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor, None]:
        (x,) = ctx.saved_tensors
        return None, _of_weights(g, x) if ctx.up else _of_weights(x, g), None


def _of_weights(large: Tensor, small: Tensor) -> Tensor:
    """Sum over examples and places of the products of a 4x4 window of `large` (n, a, 2 h, 2 w) and the pixel of `small` (n, b, h, w).

    Returns (b, a, 4, 4), the gradient of the weights of a convolution from `large` to `small` where one of the two is a gradient.
    """
    return conv2d(large.transpose(0, 1), small.transpose(0, 1), None, 1, 1, 2).transpose(0, 1)


def _pays(x: Tensor, weight: Tensor, side: int) -> bool:
    """Whether the gradient of the weights will be asked for, in bf16 on a processor, and sizes are such that ours is the quicker way."""
    asked = torch.is_grad_enabled() and weight.requires_grad and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return asked and torch.get_autocast_dtype("cpu") == torch.bfloat16 and side <= SIDE and min(weight.shape[:2]) >= CHANNELS
