"""Residual networks of BigGAN (Brock et al., 2019, arXiv:1809.11096, app. B), for any size.

From 128 px on the paper's channels. Up to 56 px those of StudioGAN's CIFAR-10 networks: the same number at every
resolution, half as many in the discriminator. Spectral norm and orthogonal initial weights in both.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn.functional import relu

from ...constraints import spectral_norm
from ..conditioning import WAYS_IN_DISCRIMINATORS, WAYS_IN_GENERATORS, Join, JoinMap, Projection, VectorNorm, batch_norm, check_ways
from .grid import grid
from .pixels import squashed
from .residual import DownBlock, SelfAttention, UpBlock, attention_place

WIDTHS = {4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1), 6: (16, 16, 8, 8, 4, 2, 1), 7: (16, 16, 8, 8, 4, 2, 1, 1)}
"""Channels of the generator from the grid to the image, in units of `width`, by the number of doublings (tables 4 to 6)."""


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1].

    Hierarchical latent: z is cut into one piece for the grid and one for each block, which steers the block's batch norms
    together with an embedding of the class that all blocks share (sec. 3.1). Raises ValueError where z is too short to be cut.
    attention: as in `sngan.Generator`. 32 px, width 96, z 80, 10 classes: 9,416,196 parameters.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        z: int,
        width: int = 96,
        classes: int = 0,
        condition: str = "norm",
        *,
        shared: int = 128,
        attention: int = 64 * 64,
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_GENERATORS, "biggan.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        piece, doublings = z // (self.grid.doublings + 1), self.grid.doublings
        if not piece:
            raise ValueError(f"BigGAN cuts z into {doublings + 1} pieces for images of this size; z must be at least that; got {z}.")
        self.pieces = [z - piece * doublings, *[piece] * doublings]
        self.join = Join(classes if condition == "concat" else 0, self.pieces[0])
        self.steer = Join(classes if condition == "norm" else 0, shared)
        widths = [width * times for times in _times(doublings)]
        self.stem = nn.Linear(self.pieces[0] + self.join.extra, widths[0] * self.grid.height * self.grid.width)
        norm = partial(VectorNorm, length=piece + self.steer.extra)
        self.ups = nn.ModuleList(UpBlock(a, b, norm) for a, b in zip(widths, widths[1:], strict=False))
        self.place = attention_place(self.grid, attention)
        self.attention = SelfAttention(widths[self.place])
        self.norm = batch_norm()(widths[-1])
        self.head = nn.Conv2d(widths[-1], shape[0], 3, padding=1)
        spectral_norm(_orthogonal(self), embeddings=False)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        first, *pieces = z.split(self.pieces, 1)
        h = self.stem(self.join(first, y)).view(len(z), -1, self.grid.height, self.grid.width)
        for i, (up, piece) in enumerate(zip(self.ups, pieces, strict=True)):
            h = up(self.attention(h) if i == self.place else h, self.steer(piece, y))
        return squashed(self.grid.crop(self.head(relu(self.norm(h))), *self.size))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,), features summed over pixels, class by projection.

    32 px, width 96, 10 classes: 2,415,170 parameters.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int = 96, classes: int = 0, condition: str = "projection", *, attention: int = 64 * 64
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "biggan.Discriminator")
        self.grid = grid(*shape[1:])
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        doublings = self.grid.doublings
        if doublings < 4:  # as SNGAN's
            downs = max(1, doublings - (min(self.grid[:2]) == 4))
            times = [2] * (downs + 2)
        else:
            downs, times = doublings, list(_times(doublings))[::-1]
        widths = [shape[0] + self.join.extra, *(width * t for t in times)]
        pairs = zip(widths, widths[1:], strict=False)
        blocks: list[nn.Module] = [DownBlock(a, b, down=i < downs, first=not i) for i, (a, b) in enumerate(pairs)]
        place = min(doublings - attention_place(self.grid, attention), downs)
        blocks.insert(place, SelfAttention(widths[place]))
        self.blocks = nn.Sequential(*blocks)
        self.head = Projection(widths[-1], classes if condition == "projection" else 0)
        spectral_norm(_orthogonal(self))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.blocks(self.grid.pad(self.join(x, y)))
        return self.head(relu(h).float().sum((2, 3)), y)


def _times(doublings: int) -> tuple[int, ...]:
    """Channels from the grid to the image, in units of the width."""
    if doublings < 4:
        return (4,) * (doublings + 1)
    return WIDTHS[min(doublings, 7)] + (1,) * (doublings - 7)


def _orthogonal(network: nn.Module) -> nn.Module:
    """Orthogonal initial weights in every layer (Saxe et al., 2014, arXiv:1312.6120), in place; biases stay as they are."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(module.weight)
    return network
