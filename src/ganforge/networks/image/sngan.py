"""Residual networks of SNGAN (Miyato et al., 2018, arXiv:1802.05957, table 4), for any size; with attention, of SAGAN."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from ...constraints import spectral_norm
from ..conditioning import WAYS_IN_DISCRIMINATORS, WAYS_IN_GENERATORS, Join, JoinMap, Projection, batch_norm, check_ways
from .grid import grid
from .pixels import squashed
from .residual import DownBlock, SelfAttention, UpBlock, attention_place


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1]. `width` channels up to 32 px, halved at every doubling beyond.

    attention: look around once, at the highest resolution below the image's of at most so many pixels; 0: never.
    spectral: spectral norm on every layer (SAGAN, arXiv:1805.08318, sec. 3.1).
    32 px, width 256, z 128: 4,276,739 parameters; with 10 classes 4,304,387, and with attention 4,386,308.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        z: int,
        width: int = 256,
        classes: int = 0,
        condition: str = "norm",
        *,
        attention: int = 0,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_GENERATORS, "sngan.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        self.join = Join(classes if condition == "concat" else 0, z)
        norm = batch_norm(classes if condition == "norm" else 0)
        widths = [max(width >> max(0, i - 3), 16) for i in range(self.grid.doublings + 1)]
        self.stem = nn.Linear(z + self.join.extra, widths[0] * self.grid.height * self.grid.width)
        self.ups = nn.ModuleList(UpBlock(a, b, norm) for a, b in zip(widths, widths[1:], strict=False))
        if attention:
            place = attention_place(self.grid, attention)
            self.ups.insert(place, SelfAttention(widths[place]))
        self.norm = batch_norm()(widths[-1])
        self.head = nn.Conv2d(widths[-1], shape[0], 3, padding=1)
        if spectral:
            spectral_norm(self, embeddings=False)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(self.join(z, y)).view(len(z), -1, self.grid.height, self.grid.width)
        for up in self.ups:
            h = up(h, y)
        return squashed(self.grid.crop(self.head(relu(self.norm(h))), *self.size))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,), spectral norm on every layer, features summed over pixels.

    Halved until the shorter side is 5 to 8 pixels, then two plain blocks. attention: as the generator's.
    32 px, width 128: 1,053,825 parameters; with 10 classes 1,055,105, and with attention 1,075,586.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int = 128, classes: int = 0, condition: str = "projection", *, attention: int = 0
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "sngan.Discriminator")
        self.grid = grid(*shape[1:])
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        downs = max(1, self.grid.doublings - (min(self.grid[:2]) == 4))
        blocks: list[nn.Module] = [DownBlock(shape[0] + self.join.extra, width, down=True, first=True)]
        blocks += [DownBlock(width, width, down=True) for _ in range(downs - 1)]
        blocks += [DownBlock(width, width, down=False) for _ in range(2)]
        if attention:
            blocks.insert(min(self.grid.doublings - attention_place(self.grid, attention), downs), SelfAttention(width))
        self.blocks = nn.Sequential(*blocks)
        self.head = Projection(width, classes if condition == "projection" else 0)
        spectral_norm(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.blocks(self.grid.pad(self.join(x, y)))
        return self.head(relu(h).float().sum((2, 3)), y)
