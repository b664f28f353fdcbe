"""Residual networks of SNGAN (Miyato et al., 2018, arXiv:1802.05957, table 4), for any size."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from ...constraints import spectral_norm
from ..conditioning import WAYS_IN_DISCRIMINATORS, WAYS_IN_GENERATORS, Join, JoinMap, Projection, batch_norm, check_ways
from .grid import grid


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


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1]. `width` channels up to 32 px, halved at every doubling beyond.

    32 px, width 256, z 128: 4,276,739 parameters.
    """

    def __init__(self, shape: tuple[int, int, int], z: int, width: int = 256, classes: int = 0, condition: str = "norm") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_GENERATORS, "sngan.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        self.join = Join(classes if condition == "concat" else 0, z)
        norm = batch_norm(classes if condition == "norm" else 0)
        widths = [max(width >> max(0, i - 3), 16) for i in range(self.grid.doublings + 1)]
        self.stem = nn.Linear(z + self.join.extra, widths[0] * self.grid.height * self.grid.width)
        self.ups = nn.ModuleList(UpBlock(a, b, norm) for a, b in zip(widths, widths[1:], strict=False))
        self.norm = batch_norm()(widths[-1])
        self.head = nn.Conv2d(widths[-1], shape[0], 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(self.join(z, y)).view(len(z), -1, self.grid.height, self.grid.width)
        for up in self.ups:
            h = up(h, y)
        return self.grid.crop(self.head(relu(self.norm(h))), *self.size).tanh()


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,), spectral norm on every layer, features summed over pixels.

    Halved until the shorter side is 5 to 8 pixels, then two plain blocks. 32 px, width 128: 1,053,825 parameters.
    """

    def __init__(self, shape: tuple[int, int, int], width: int = 128, classes: int = 0, condition: str = "projection") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "sngan.Discriminator")
        self.grid = grid(*shape[1:])
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        downs = max(1, self.grid.doublings - (min(self.grid[:2]) == 4))
        blocks = [DownBlock(shape[0] + self.join.extra, width, down=True, first=True)]
        blocks += [DownBlock(width, width, down=True) for _ in range(downs - 1)]
        blocks += [DownBlock(width, width, down=False) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.head = Projection(width, classes if condition == "projection" else 0)
        spectral_norm(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.blocks(self.grid.pad(self.join(x, y)))
        return self.head(relu(h).float().sum((2, 3)), y)


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
