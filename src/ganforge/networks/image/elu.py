"""BEGAN's networks (Berthelot et al., 2017, arXiv:1703.10717, sec. 3.5) for any size: 3x3 convolutions and ELU, no norms.

Departures: a tanh after the last convolution, as all our images lie in [-1, 1], and no skips from the latent vector.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import elu, interpolate

from ..conditioning import WAYS_IN_DISCRIMINATORS, Join, JoinMap, Projection, check_ways
from .grid import grid
from .pixels import squashed


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1]. `width` channels at every resolution, doubled by repeating pixels."""

    def __init__(self, shape: tuple[int, int, int], z: int, width: int = 64, classes: int = 0, condition: str = "concat") -> None:
        super().__init__()
        check_ways(condition, ("concat",), "elu.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        self.join = Join(classes, z)
        self.stem = nn.Linear(z + self.join.extra, width * self.grid.height * self.grid.width)
        self.pairs = nn.ModuleList(_pair(width, width) for _ in range(self.grid.doublings + 1))
        self.head = nn.Conv2d(width, shape[0], 3, padding=1)
        _start(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(self.join(z, y)).view(len(z), -1, self.grid.height, self.grid.width)
        h = self.pairs[0](h)
        for pair in self.pairs[1:]:
            h = pair(interpolate(h, scale_factor=2, mode="nearest"))
        return squashed(self.grid.crop(self.head(h), *self.size))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,). `width` channels at full resolution, as many more at every halving."""

    def __init__(self, shape: tuple[int, int, int], width: int = 64, classes: int = 0, condition: str = "projection") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "elu.Discriminator")
        self.grid = grid(*shape[1:])
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        widths = [width * (i + 1) for i in range(self.grid.doublings + 1)]
        self.stem = nn.Conv2d(shape[0] + self.join.extra, width, 3, padding=1)
        self.pairs = nn.ModuleList(_pair(w, w) for w in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.head = Projection(widths[-1] * self.grid.height * self.grid.width, classes if condition == "projection" else 0)
        _start(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.pairs[0](elu(self.stem(self.grid.pad(self.join(x, y)))))
        for down, pair in zip(self.downs, self.pairs[1:], strict=True):
            h = pair(elu(down(h)))
        return self.head(h.permute(0, 2, 3, 1).flatten(1), y)  # see dcgan.Discriminator


GAIN = 1.25
"""One over the root mean square of elu(x), x ~ N(0, 1): features keep their size from layer to layer."""


def _start(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=GAIN / layer.weight[0].numel() ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _pair(a: int, b: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ELU(), nn.Conv2d(b, b, 3, padding=1), nn.ELU())
