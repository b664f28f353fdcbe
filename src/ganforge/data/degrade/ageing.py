"""What years do to a print: fading, yellowing, grain, stains, dust, scratches and folds. (n, 3, h, w) in [-1, 1] -> the same."""

from __future__ import annotations

import torch
from torch import Tensor

from ganforge.data.degrade import kernels, masks
from ganforge.data.degrade.atoms import blur, luma, resized
from ganforge.data.degrade.draws import between

SEPIA = (1.08, 0.98, 0.80)
"""Of red, green and blue: paper that turned brown."""


def faded(x: Tensor, by: Tensor) -> Tensor:
    """Blacks lifted and whites dulled by (n,) from 0 to 1: contrast shrinks towards a light grey."""
    by = by.to(x.device).view(-1, 1, 1, 1)
    return x + by * (0.25 - x)


def browned(x: Tensor, by: Tensor) -> Tensor:
    """Colours moved by (n,), from 0 to 1, towards the brown picture that is left of them in the end."""
    by = by.to(x.device).view(-1, 1, 1, 1)
    brown = (luma(x) + 1) * x.new_tensor(SEPIA).view(3, 1, 1) - 1
    return x + by * (brown - x)


def grained(x: Tensor, sigma: Tensor, size: Tensor) -> Tensor:
    """Grain of standard deviation sigma (n,), of 255, the same in all colours, of spots `size` (n,) pixels wide."""
    spots = blur(torch.randn_like(x[:, :1]), kernels.gaussian(7, size))
    spots = spots / spots.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
    return x + spots * (sigma / 127.5).to(x.device).view(-1, 1, 1, 1)


def stained(x: Tensor, by: Tensor) -> Tensor:
    """Clouds of light and dark, strongest by (n,): paper that was damp."""
    n, _, h, w = x.shape
    clouds = resized(torch.randn(n, 1, 3, 3).to(x.device, x.dtype), h, w).clamp(-2, 2) / 2
    return x + clouds * by.to(x.device).view(-1, 1, 1, 1)


def dusty(x: Tensor, share: Tensor) -> Tensor:
    """Specks, light or dark, on a share (n,) of the pixels; most are a pixel or two wide."""
    n, _, h, w = x.shape
    at = (torch.rand(n, 1, h, w) < share.view(-1, 1, 1, 1)).float()
    specks = (blur(at, kernels.gaussian(5, between(0.4, 0.9, n))) * 3).clamp(max=1).to(x.device, x.dtype)
    return x + specks * (_ink(n).to(x.device) - x)


def scratched(x: Tensor) -> Tensor:
    """Scratches and folds of `masks.scratches`, light or dark, with soft edges."""
    n, _, h, w = x.shape
    lines = blur(masks.scratches(n, h, w), kernels.gaussian(5, between(0.3, 0.8, n))).to(x.device, x.dtype)
    return x + lines * (_ink(n).to(x.device) - x) * between(0.6, 1, n).to(x.device).view(-1, 1, 1, 1)


def _ink(n: int) -> Tensor:
    """(n, 1, 1, 1): bare paper three times in four, else dirt."""
    return torch.where(torch.rand(n) < 0.75, between(0.7, 1, n), between(-1, -0.6, n)).view(-1, 1, 1, 1)
