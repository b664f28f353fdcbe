"""ProGAN networks (Karras et al., 2018, arXiv:1710.10196, table 2) for any size: they can work at a part of their resolutions.

`level` says how far they are grown, in thousandths: 0 is the smallest map alone, 1500 the second resolution with the third half faded
in. It is a buffer, so it is saved, and an integer, so that averaged networks have it exactly. New networks are fully grown.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, embedding, interpolate

from ..conditioning import WAYS_IN_DISCRIMINATORS, Join, JoinMap, _labels, check_ways
from .equalised import BatchSpread, EqualConv, EqualLinear, activate, unit, widths
from .grid import grid

WHOLE = 1000
"""Of `level`: one resolution."""


class _Growing(nn.Module):
    """What both networks know of levels."""

    level: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        self.known = self.grid.doublings * WHOLE
        """`level` where the host can read it without waiting for the device. It follows in training alone: an average has its buffer."""
        self.register_buffer("level", torch.tensor(self.known))

    def grow(self, level: float) -> None:
        """Be grown so far, in resolutions."""
        self.known = round(level * WHOLE)
        self.level.fill_(self.known)

    def at(self) -> tuple[int, float]:
        """The highest resolution in use, as doublings of the smallest map, and how much of it is faded in, in (0, 1]."""
        low, part = divmod(self.known if self.training else int(self.level), WHOLE)
        return (low + 1, part / WHOLE) if part else (low, 1.0)

    def _load_from_state_dict(self, *told: Any) -> None:
        super()._load_from_state_dict(*told)
        self.known = int(self.level)


class UpBlock(nn.Module):
    """Twice the size, then two convolutions with pixel norm: (n, a, h, w) -> (n, b, 2h, 2w)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = EqualConv(a, b, 3), EqualConv(b, b, 3)

    def forward(self, x: Tensor) -> Tensor:
        return unit(activate(self.conv2(unit(activate(self.conv1(_double(x)))))))


class Generator(_Growing):
    """z (n, z), y (n,) -> image (n, c, h, w), about [-1, 1], linear in its last layer.

    In training it draws at its level's resolution, uncropped; else enlarged to full size. `width` channels at full resolution, doubled
    at every halving up to `most`.
    """

    def __init__(
        self, shape: tuple[int, int, int], z: int, width: int = 64, classes: int = 0, condition: str = "concat", *, most: int = 512
    ) -> None:
        super().__init__(shape)
        check_ways(condition, ("concat",), "progan.Generator")
        sizes = widths(width, self.grid.doublings, most)[::-1]
        self.join = Join(classes, z)
        self.stem = EqualLinear(z + self.join.extra, sizes[0] * self.grid.height * self.grid.width)
        self.first = EqualConv(sizes[0], sizes[0], 3)
        self.ups = nn.ModuleList(UpBlock(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.colours = nn.ModuleList(EqualConv(a, shape[0], 1) for a in sizes)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        top, part = self.at()
        h = self.stem(self.join(unit(z), y)).view(len(z), -1, self.grid.height, self.grid.width)
        h = before = unit(activate(self.first(unit(activate(h)))))
        for up in self.ups[:top]:
            before, h = h, up(h)
        x = self.colours[top](h)
        if part < 1:
            x = _double(self.colours[top - 1](before)).lerp(x, part)
        if top < self.grid.doublings and not self.training:
            x, top = interpolate(x, scale_factor=2 ** (self.grid.doublings - top), mode="nearest"), self.grid.doublings
        return self.grid.crop(x, *self.size) if top == self.grid.doublings else x


class DownBlock(nn.Module):
    """Two convolutions, then half the size: (n, a, h, w) -> (n, b, h / 2, w / 2)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = EqualConv(a, a, 3), EqualConv(a, b, 3)

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(activate(self.conv2(activate(self.conv1(x)))), 2)


class Discriminator(_Growing):
    """Image (n, c, h, w) of full size or of the level's, y (n,) -> logits (n,) in fp32. What is larger than its level is averaged down.

    A class is joined to the smallest map (`concat`), which all levels have, or multiplied with the features (`projection`).
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int = 64, classes: int = 0, condition: str = "projection", *, most: int = 512
    ) -> None:
        super().__init__(shape)
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "progan.Discriminator")
        sizes = widths(width, self.grid.doublings, most)[::-1]
        last, height, across = sizes[0], self.grid.height, self.grid.width
        self.stems = nn.ModuleList(EqualConv(shape[0], a, 1) for a in sizes)
        self.downs = nn.ModuleList(DownBlock(b, a) for a, b in zip(sizes, sizes[1:], strict=False))
        self.join = JoinMap(classes if condition == "concat" else 0, height, across)
        self.spread = BatchSpread()
        self.conv = EqualConv(last + self.join.extra + 1, last, 3)
        self.dense = EqualLinear(last * height * across, last)
        self.score = EqualLinear(last, 1)
        self.classes = nn.Parameter(torch.randn(classes, last)) if classes and condition == "projection" else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        top, part = self.at()
        x = self._reduced(x, top)
        h = activate(self.stems[top](x))
        for i in range(top, 0, -1):
            h = self.downs[i - 1](h)
            if i == top and part < 1:
                h = activate(self.stems[top - 1](avg_pool2d(x, 2))).lerp(h, part)
        h = activate(self.conv(self.spread(self.join(h, y))))
        h = activate(self.dense(h.permute(0, 2, 3, 1).flatten(1)))  # see dcgan.Discriminator
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            logits = self.score(h).squeeze(1)
            return logits if self.classes is None else logits + (h * embedding(_labels(y), self.classes)).sum(1) / math.sqrt(h.shape[1])

    def as_grown(self, x: Tensor) -> Tensor:
        """Real images (n, c, h, w) as the generator would draw them at this level, half faded in where it is (paper, fig. 2)."""
        top, part = self.at()
        x = self._reduced(x, top)
        if part < 1:
            x = _double(avg_pool2d(x, 2)).lerp(x, part)
        return self.grid.crop(x, *self.size) if top == self.grid.doublings else x

    def _reduced(self, x: Tensor, top: int) -> Tensor:
        """(n, c, h, w) -> the size of this many doublings."""
        x = self.grid.pad(x) if x.shape[2:] == self.size else x
        times = x.shape[2] // (self.grid.height << top)
        return avg_pool2d(x, times) if times > 1 else x


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
