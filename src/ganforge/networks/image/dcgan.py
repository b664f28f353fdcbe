"""DCGAN networks (Radford et al., 2015, arXiv:1511.06434, fig. 1) for any size: strided 4x4 convolutions and batch norm.

Weights start from torch's fan-in default, not from the paper's N(0, 0.02), which makes the same networks collapse more often.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from ..conditioning import WAYS_IN_DISCRIMINATORS, WAYS_IN_GENERATORS, Join, JoinMap, PlainNorm, Projection, batch_norm, check_ways
from .equalised import BatchNearness, BatchSpread
from .grid import grid
from .pixels import squashed
from .strided import Down, Stem, Up


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1]. `width` channels next to the image, doubled at every halving."""

    def __init__(self, shape: tuple[int, int, int], z: int, width: int = 64, classes: int = 0, condition: str = "concat") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_GENERATORS, "dcgan.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        self.join = Join(classes if condition == "concat" else 0, z)
        norm = batch_norm(classes if condition == "norm" else 0)
        widths = [_width(width, i) for i in reversed(range(self.grid.doublings))]  # 32 px: 4, 2, 1 times width
        self.stem = Stem(z + self.join.extra, widths[0], self.grid.height, self.grid.width)
        self.norms = nn.ModuleList(norm(w) for w in widths)
        self.ups = nn.ModuleList(Up(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.head = nn.ConvTranspose2d(widths[-1], shape[0], 4, 2, 1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(self.join(z, y))
        for norm, up in zip(self.norms, [*self.ups, self.head], strict=True):
            h = up(relu(norm(h, y), inplace=True))
        return squashed(self.grid.crop(h, *self.size))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,). `norm` makes the norms inside; pass `plain` where a penalty forbids batch norm.

    spread: the head sees how much so many examples differ, neighbours in the batch (ProGAN, arXiv:1710.10196, sec. 3). 0: it does not.
    nearness: the same by learnt features, of so many examples (minibatch discrimination, Salimans et al., 2016, arXiv:1606.03498).
    smallest: pixels of the shorter side of the last map, at least; less than twice as many.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int = 64,
        classes: int = 0,
        condition: str = "projection",
        norm: Callable[[int], nn.Module] | None = None,
        spread: int = 0,
        nearness: int = 0,
        smallest: int = 4,
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "dcgan.Discriminator")
        norm = norm or batch_norm()
        self.grid = grid(*shape[1:], smallest)
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        widths = [shape[0] + self.join.extra, *(_width(width, i) for i in range(self.grid.doublings))]
        self.downs = nn.ModuleList(Down(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.norms = nn.ModuleList([plain(widths[1]), *(norm(b) for b in widths[2:])])  # none on the first layer: paper, sec. 3
        self.spread = BatchSpread(spread) if spread else nn.Identity()
        features = (widths[-1] + bool(spread)) * self.grid.height * self.grid.width
        self.nearness = BatchNearness(features, nearness) if nearness else nn.Identity()
        features += self.nearness.kernels if isinstance(self.nearness, BatchNearness) else 0
        self.head = Projection(features, classes if condition == "projection" else 0)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.grid.pad(self.join(x, y))
        for down, norm in zip(self.downs, self.norms, strict=True):
            h = leaky_relu(norm(down(h), y), 0.2, inplace=True)
        h = self.spread(h).permute(0, 2, 3, 1).flatten(1)  # channels last, so that gradients come back in the convolutions' order
        return self.head(self.nearness(h), y)


def plain(channels: int) -> nn.Module:
    """No normalisation, callable as norm(x, y)."""
    return PlainNorm(nn.Identity())


def layer_norm(channels: int) -> nn.Module:
    """Normalise each example over channels and pixels (what WGAN-GP, arXiv:1704.00028, sec. 4, puts in place of batch norm)."""
    return PlainNorm(nn.GroupNorm(1, channels))


def _width(width: int, halvings: int) -> int:
    return width * 2 ** min(halvings, 4)  # 1024 px would want 2^7 times the width
