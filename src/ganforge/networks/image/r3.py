"""Residual networks without normalisation layers, after R3GAN (Huang et al., 2024, arXiv:2501.05441, sec. 4), for any size.

Own code from the published facts: bottleneck blocks with a leaky ReLU after each of the first two convolutions, the last
convolution starting at zero, variance kept by the initial weights alone, bilinear resampling, a learnt basis in
place of the first feature map. Departures, found on short runs (docs/LOG.md): a leaky ReLU before both heads, an
elastic tanh after the generator's, and a head on all last features where the paper pools them (pool=True: as the paper).
For CPUs: dense 3x3 convolutions (group=0) where the paper groups 16 channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from ..conditioning import WAYS_IN_DISCRIMINATORS, Join, JoinMap, Projection, check_ways
from .grid import Grid, grid
from .pixels import elastic_tanh
from .start import fan_in as _start


class Block(nn.Module):
    """x + 1x1(lrelu(3x3(lrelu(1x1(x))))), wider inside by `expansion`: (n, c, h, w) -> (n, c, h, w). The identity at the start."""

    def __init__(self, channels: int, expansion: int, group: int, depth: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.narrow = nn.Conv2d(channels, inner, 1)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1, groups=_groups(inner, group))
        self.widen = nn.Conv2d(inner, channels, 1, bias=False)
        gain = math.sqrt(2 / (1 + 0.2**2)) * depth**-0.25  # Fixup's L^(-1/(2m-2)) for m = 3 layers (arXiv:1901.09321)
        _start(self.narrow, gain)
        _start(self.spatial, gain)
        nn.init.zeros_(self.widen.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = leaky_relu(self.narrow(x), 0.2)
        return x + self.widen(leaky_relu(self.spatial(h), 0.2))


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1].

    `width` channels at the image's resolution, doubled at every halving up to `cap` times; `blocks` blocks per resolution.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        z: int,
        width: int = 32,
        classes: int = 0,
        condition: str = "concat",
        *,
        blocks: int = 1,
        expansion: int = 1,
        group: int = 0,
        cap: int = 8,
    ) -> None:
        super().__init__()
        check_ways(condition, ("concat",), "r3.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        self.join = Join(classes, z)
        widths = _widths(width, self.grid, cap)[::-1]
        self.basis = nn.Parameter(torch.randn(widths[0], self.grid.height, self.grid.width))
        self.stem = _start(nn.Linear(z + self.join.extra, widths[0], bias=False))
        depth = blocks * len(widths)
        self.stages = nn.ModuleList(nn.Sequential(*(Block(w, expansion, group, depth) for _ in range(blocks))) for w in widths)
        self.changes = nn.ModuleList(_change(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.head = _start(nn.Conv2d(widths[-1], shape[0], 1))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.basis * self.stem(self.join(z, y))[:, :, None, None]
        h = self.stages[0](h)
        for change, stage in zip(self.changes, self.stages[1:], strict=True):
            h = stage(interpolate(change(h), scale_factor=2, mode="bilinear"))
        x = self.head(leaky_relu(h, 0.2))
        return elastic_tanh(self.grid.crop(x, *self.size))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,): the generator's mirror image."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int = 32,
        classes: int = 0,
        condition: str = "projection",
        *,
        blocks: int = 1,
        expansion: int = 1,
        group: int = 0,
        cap: int = 8,
        pool: bool = False,
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "r3.Discriminator")
        self.grid = grid(*shape[1:])
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        widths = _widths(width, self.grid, cap)
        depth = blocks * len(widths)
        self.stem = _start(nn.Conv2d(shape[0] + self.join.extra, widths[0], 1))
        self.stages = nn.ModuleList(nn.Sequential(*(Block(w, expansion, group, depth) for _ in range(blocks))) for w in widths)
        self.changes = nn.ModuleList(_change(a, b) for a, b in zip(widths, widths[1:], strict=False))
        features, projected = widths[-1] * self.grid.height * self.grid.width, classes if condition == "projection" else 0
        self.pool = Pool(widths[-1], self.grid, projected > 0) if pool else None
        self.head = Projection(widths[-1] if pool else features, projected)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(self.grid.pad(self.join(x, y)))
        h = self.stages[0](h)
        for change, stage in zip(self.changes, self.stages[1:], strict=True):
            h = stage(change(avg_pool2d(h, 2)))
        h = leaky_relu(h, 0.2)
        return self.head(h.permute(0, 2, 3, 1).flatten(1) if self.pool is None else self.pool(h), y)  # see dcgan.Discriminator


class Pool(nn.Module):
    """A learnt weighting of places for each channel, and with `mix` a linear map of the result: (n, c, h, w) -> (n, c)."""

    def __init__(self, channels: int, grid: Grid, mix: bool) -> None:
        super().__init__()
        self.places = _start(nn.Conv2d(channels, channels, (grid.height, grid.width), groups=channels, bias=False))
        self.mix = _start(nn.Linear(channels, channels)) if mix else nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        return self.mix(self.places(h).flatten(1))


def _widths(width: int, grid: Grid, cap: int) -> list[int]:
    """Channels from the image's resolution down to the grid."""
    return [width * min(2**i, cap) for i in range(grid.doublings + 1)]


def _change(a: int, b: int) -> nn.Module:
    return nn.Identity() if a == b else _start(nn.Conv2d(a, b, 1, bias=False))


def _groups(channels: int, group: int) -> int:
    """Number of groups that holds `group` channels each; 1 (dense) where that does not divide."""
    return channels // group if group > 0 and channels % group == 0 else 1
