"""Blocks that the residual image networks share: up, down, and self-attention with its place among them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, relu

from .grid import Grid


class UpBlock(nn.Module):
    """Residual block that doubles the resolution: (n, a, h, w) -> (n, b, 2h, 2w).

    norm, ReLU, upsample, 3x3, norm, ReLU, 3x3, plus an upsampled 1x1 skip (SNGAN, arXiv:1802.05957, fig. 4a).
    Norms are called as norm(x, y), so a class-conditional norm drops in (BigGAN); a plain one ignores y.
    """

    def __init__(self, a: int, b: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(a), norm(b)
        self.conv1 = nn.Conv2d(a, b, 3, padding=1)
        self.conv2 = nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.conv1(_double(relu(self.norm1(x, y))))
        h = self.conv2(relu(self.norm2(h, y)))
        return h + _double(self.skip(x))  # 1x1 before upsampling: the same result for a quarter of the work


class DownBlock(nn.Module):
    """Residual block of the critic: (n, a, h, w) -> (n, b, h, w), or half the size with `down`. `first`: no ReLU on pixels."""

    def __init__(self, a: int, b: int, down: bool, first: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, padding=1)
        self.conv2 = nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1) if down or a != b else nn.Identity()
        self.down, self.first = down, first

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(relu(self.conv1(x if self.first else relu(x))))
        if not self.down:
            return h + self.skip(x)
        return avg_pool2d(h, 2) + self.skip(avg_pool2d(x, 2))


class SelfAttention(nn.Module):
    """Every place looks at all others: (n, c, h, w) -> (n, c, h, w), the identity at the start; y is ignored.

    x + gain * o(softmax(query . key) value), keys and values pooled 2x2, queries and keys of c / 8 channels, values
    of c / 2 (SAGAN, Zhang et al., 2019, arXiv:1805.08318, sec. 3, with the authors' pooling). Costs (h w)^2 / 4 products an example.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        small, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, small, 1, bias=False)
        self.key = nn.Conv2d(channels, small, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        query = self.query(x).flatten(2)
        key, value = (max_pool2d(part(x), 2, ceil_mode=True).flatten(2) for part in (self.key, self.value))
        looks = torch.softmax(query.transpose(1, 2) @ key, 2)  # (n, places, pooled places)
        seen = (value @ looks.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gain * self.out(seen)


def attention_place(grid: Grid, pixels: int) -> int:
    """After how many doublings of the grid attention sits: at the highest resolution below the image's of at most `pixels` pixels."""
    return max(i for i in range(grid.doublings) if not i or (grid.height << i) * (grid.width << i) <= pixels)


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
