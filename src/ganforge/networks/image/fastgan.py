"""FastGAN networks (Liu et al., 2021, arXiv:2101.04775) for any size: skip-layer excitation, a discriminator that can draw what it sees.

Own code from the published facts. Departures: the discriminator sees one image, where the published code also gives it a small copy that
the generator draws beside; and small images, which have too few resolutions, skip over fewer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, glu, interpolate, leaky_relu

from ...constraints import spectral_norm
from ..conditioning import WAYS_IN_DISCRIMINATORS, WAYS_IN_GENERATORS, Join, JoinMap, _labels, batch_norm, check_ways
from .equalised import Noise
from .grid import grid
from .pixels import squashed

DRAWN = (16, 8, 4, 2, 2, 1, 1 / 2, 1 / 4, 1 / 8)
"""Relative channels of the generator, from the smallest map up."""
JUDGED = (4, 2, 2, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""The same of the discriminator."""


class Excite(nn.Module):
    """Gate the channels of one map by a map of another resolution: (n, a, ...), (n, b, h, w) -> (n, b, h, w) (paper, eq. 1)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Conv2d(a, b, 4), nn.SiLU(), nn.Conv2d(b, b, 1), nn.Sigmoid())

    def forward(self, source: Tensor, x: Tensor) -> Tensor:
        return x * self.gate(source)


class UpBlock(nn.Module):
    """Twice the size, then a 3x3 convolution, if `noisy` two, each with noise; norm, GLU: (n, a, h, w) -> (n, b, height, width)."""

    def __init__(self, a: int, b: int, height: int, width: int, noisy: bool, classes: int) -> None:
        super().__init__()
        inputs = [a, b] if noisy else [a]
        self.convs = nn.ModuleList(nn.Conv2d(c, 2 * b, 3, padding=1, bias=False) for c in inputs)
        self.noises = nn.ModuleList(Noise(height, width) if noisy else nn.Identity() for _ in inputs)
        self.norms = nn.ModuleList(batch_norm(classes)(2 * b) for _ in inputs)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        h = interpolate(x, scale_factor=2, mode="nearest")
        for conv, noise, norm in zip(self.convs, self.noises, self.norms, strict=True):
            h = glu(norm(noise(conv(h)), y), 1)
        return h


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1], `width` channels at full resolution.

    A map gates the one four doublings above it, as 4 px gates 64; in smaller images the smallest gates the largest.
    256 px, width 32: the widths of the paper.
    """

    def __init__(self, shape: tuple[int, int, int], z: int, width: int = 64, classes: int = 0, condition: str = "concat") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_GENERATORS, "fastgan.Generator")
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        height, across, doublings = self.grid
        sizes = _widths(DRAWN, doublings, width)
        self.join = Join(classes if condition == "concat" else 0, z)
        normed = classes if condition == "norm" else 0
        self.stem = nn.ConvTranspose2d(z + self.join.extra, 2 * sizes[0], (height, across), bias=False)
        self.norm = batch_norm(normed)(2 * sizes[0])
        self.ups = nn.ModuleList(
            UpBlock(a, b, height << i, across << i, i % 2 == 1, normed) for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False), 1)
        )
        self.skip = min(4, doublings)
        self.gates = nn.ModuleList(Excite(a, b) for a, b in zip(sizes, sizes[self.skip :], strict=False))
        self.head = nn.Conv2d(sizes[-1], shape[0], 3, padding=1)
        spectral_norm(self, embeddings=False)  # a class's gains and biases are no matrix to divide

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        maps = [glu(self.norm(self.stem(self.join(z, y)[:, :, None, None]), y), 1)]
        for i, up in enumerate(self.ups, 1):
            h = up(maps[-1], y)
            maps.append(self.gates[i - self.skip](maps[i - self.skip], h) if i >= self.skip else h)
        return squashed(self.grid.crop(self.head(maps[-1]), *self.size))


class DownBlock(nn.Module):
    """The mean of a convolved path and an averaged one, half the size: (n, a, h, w) -> (n, b, h / 2, w / 2) (paper, fig. 5)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(a, b, 4, 2, 1, bias=False)
        self.conv = nn.Conv2d(b, b, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(a, b, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = leaky_relu(self.norms[0](self.down(x)), 0.2)
        h = leaky_relu(self.norms[1](self.conv(h)), 0.2)
        return (h + leaky_relu(self.norms[2](self.skip(avg_pool2d(x, 2))), 0.2)) / 2


class Decoder(nn.Module):
    """Feature map (n, a, h, w) -> image (n, c, h << ups, w << ups) in [-1, 1], a plain decoder (paper, sec. 3.2)."""

    def __init__(self, a: int, colours: int, ups: int) -> None:
        super().__init__()
        sizes = [a, *(max(a >> i, 8) for i in range(1, ups + 1))]
        self.convs = nn.ModuleList(nn.Conv2d(b, 2 * c, 3, padding=1, bias=False) for b, c in zip(sizes, sizes[1:], strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(2 * c) for c in sizes[1:])
        self.head = nn.Conv2d(sizes[-1], colours, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = glu(norm(conv(interpolate(x, scale_factor=2, mode="nearest"))), 1)
        return squashed(self.head(x))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n, 1, h', w'), one for each overlapping part of the last map.

    `width` channels at full resolution, halved until the shorter side is 8 to 15 pixels, or 4 to 7 for images below 64 px, which would
    be halved too seldom otherwise. A map gates the one three halvings below.
    decoded: the decoders draw at most so many pixels along the shorter side, or less than twice as many where it is no multiple.
    256 px, width 16: the widths of the paper.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int = 64, classes: int = 0, condition: str = "projection", *, decoded: int = 128
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "fastgan.Discriminator")
        smallest = 8 if min(shape[1:]) >= 64 else 4
        self.grid = grid(*shape[1:], smallest=smallest)
        halvings = self.grid.doublings
        sizes = _widths(JUDGED, halvings, width)[::-1]
        last = sizes[-1]
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        self.stem = nn.Conv2d(shape[0] + self.join.extra, sizes[0], 3, padding=1, bias=False)
        self.downs = nn.ModuleList(DownBlock(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.gates = nn.ModuleList(Excite(a, b) for a, b in zip(sizes, sizes[3:], strict=False))
        self.head = nn.ModuleList([nn.Conv2d(last, 2 * last, 1, bias=False), nn.BatchNorm2d(2 * last), nn.Conv2d(2 * last, 1, 4)])
        self.classes = nn.Embedding(classes, last) if classes and condition == "projection" else None
        ups = (decoded // smallest).bit_length() - 1
        self.whole = Decoder(last, shape[0], min(halvings, ups))
        self.part = Decoder(sizes[-2], shape[0], min(halvings - 1, ups))
        spectral_norm(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.maps(x, y)[-1]
        last = leaky_relu(self.head[1](self.head[0](h)), 0.2)
        with torch.autocast(h.device.type, enabled=False):
            logits = self.head[2](last.float())
        if self.classes is None:
            return logits
        return logits + (h.float().mean((2, 3)) * self.classes(_labels(y)).float()).sum(1).view(-1, 1, 1, 1)

    def maps(self, x: Tensor, y: Tensor | None) -> list[Tensor]:
        """The features of all resolutions, the largest map first."""
        maps = [leaky_relu(self.stem(self.grid.pad(self.join(x, y))), 0.2)]
        for i, down in enumerate(self.downs, 1):
            h = down(maps[-1])
            maps.append(self.gates[i - 3](maps[i - 3], h) if i >= 3 else h)
        return maps

    def redrawn(self, x: Tensor, y: Tensor | None, quarter: int) -> list[tuple[Tensor, Tensor]]:
        """What the decoders make of the features of x, each with the truth in its size: of the last map, of a quarter of the one before.

        quarter: 0 to 3, row by row (paper, sec. 3.2 and fig. 4).
        """
        maps, x = self.maps(x, y), self.grid.pad(x)
        pairs = [(self.whole(maps[-1]), x)]
        pairs.append((self.part(_quarter(maps[-2], quarter)), _quarter(x, quarter)))
        return [(guess, adaptive_avg_pool2d(truth, guess.shape[2:])) for guess, truth in pairs]


def _widths(relative: tuple[float, ...], doublings: int, width: int) -> list[int]:
    """Channels from the smallest map up, `width` at the end."""
    return [max(1, round(width * share / relative[doublings])) for share in relative[: doublings + 1]]


def _quarter(x: Tensor, which: int) -> Tensor:
    """(n, c, h, w) -> (n, c, h / 2, w / 2): upper left, upper right, lower left, lower right."""
    h, w = x.shape[2] // 2, x.shape[3] // 2
    top, left = which // 2 * h, which % 2 * w
    return x[:, :, top : top + h, left : left + w]
