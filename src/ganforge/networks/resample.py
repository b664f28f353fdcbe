"""Images moved about, once and bilinearly, and differentiable as often as need be."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def affine(x: Tensor, matrix: Tensor) -> Tensor:
    """(n, c, h, w) moved by (n, 2, 3): from a pixel of the result to its place in x, both from the centre, in pixels (right, down).

    Bilinear, with reflected borders. An image with the identity matrix comes back bit for bit.
    """
    h, w = x.shape[2:]
    down, right = torch.meshgrid(_centred(h, x), _centred(w, x), indexing="ij")
    spots = torch.stack([right, down, torch.ones_like(down)], -1) @ matrix.to(x.dtype).transpose(1, 2)[:, None]
    spots = torch.stack([spots[..., 0] * (2 / w), spots[..., 1] * (2 / h)], -1)
    moved = cast(Tensor, _Resample.apply(x, spots))
    still = (matrix == torch.eye(2, 3, device=x.device, dtype=matrix.dtype)).flatten(1).all(1)
    return torch.where(still.view(-1, 1, 1, 1), x, moved)


class _Resample(torch.autograd.Function):
    """Bilinear, reflected `grid_sample`: (n, c, h, w), (n, h, w, 2) -> (n, c, h, w). Linear in x, and so differentiable as often as need
    be, which torch's own is not: R1 differentiates twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, spots: Tensor) -> Tensor:
        ctx.save_for_backward(spots)
        return grid_sample(x, spots, "bilinear", "reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Spread.apply(grad, *ctx.saved_tensors), None


class _Spread(torch.autograd.Function):
    """The transpose of `_Resample`: what a pixel's slope says of the pixels that it was made of. Of equal shapes, as there."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, spots: Tensor) -> Tensor:
        ctx.save_for_backward(spots)
        with torch.enable_grad():
            x = torch.zeros_like(grad, requires_grad=True)
            moved = grid_sample(x, spots, "bilinear", "reflection", align_corners=False)
        return torch.autograd.grad(moved, x, grad)[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _Resample.apply(grad, *ctx.saved_tensors), None


def _centred(side: int, like: Tensor) -> Tensor:
    return torch.arange(side, device=like.device, dtype=like.dtype) - (side - 1) / 2
