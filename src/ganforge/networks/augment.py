"""Augmentation of what a discriminator sees, real and generated alike: a discriminator that few images teach by heart sees new ones.

Images are (n, c, h, w) in [-1, 1] with any number of channels; every example draws its own change. Everything is differentiable with
respect to the images, so a generator learns through it. Colour operations act on the first three channels where there are three or
more (a fourth is transparency), else on all; hue and saturation leave images of one and two channels alone.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .resample import affine

SHIFT, HOLE = 1 / 8, 1 / 2
"""Largest shift, and side of the hole, as fractions of the image's (DiffAugment, sec. 3.2 and its published code)."""
START, MOST = 0.1, 0.8
"""First and largest probability of `Adaptive`. Beyond 0.8 a generator begins to draw the augmented images (arXiv:2006.06676, sec. 2.2)."""


def diffaugment(x: Tensor) -> Tensor:
    """Colour, translation and cutout, all of them always (DiffAugment, Zhao et al., 2020, arXiv:2006.10738): (n, c, h, w) -> the same.

    Brightness + U[-0.5, 0.5], saturation x U[0, 2], contrast x U[0.5, 1.5]; shifts up to an eighth of the image with zeros (grey) behind
    them; a hole of zeros half as wide and high as the image.
    """
    return DiffAugment()(x)


def brightness(x: Tensor, by: Tensor) -> Tensor:
    """(n, c, h, w) with by (n,) added to its colours."""
    return _coloured(x, lambda colour: colour + _each(by))


def contrast(x: Tensor, by: Tensor) -> Tensor:
    """(n, c, h, w) with its distance from the mean colour of each image multiplied by (n,)."""

    def change(colour: Tensor) -> Tensor:
        mean = colour.mean((1, 2, 3), keepdim=True)
        return colour + (colour - mean) * _each(by - 1)  # so that 1 changes no bit

    return _coloured(x, change)


def saturation(x: Tensor, by: Tensor) -> Tensor:
    """(n, c, h, w) with the distance of its colours from grey multiplied by (n,); as it is with fewer than three channels."""

    def change(colour: Tensor) -> Tensor:
        grey = colour.mean(1, keepdim=True)
        return colour + (colour - grey) * _each(by - 1)

    return _coloured(x, change) if x.shape[1] >= 3 else x


def hue(x: Tensor, angle: Tensor) -> Tensor:
    """(n, c, h, w) with colours turned about the grey axis by (n,) radians; as it is with fewer than three channels."""

    def change(colour: Tensor) -> Tensor:
        off = colour - colour.mean(1, keepdim=True)
        across = (off.roll(1, 1) - off.roll(2, 1)) / math.sqrt(3)  # the cross product with the unit grey axis
        return colour + off * _each(angle.cos() - 1) + across * _each(angle.sin())

    return _coloured(x, change) if x.shape[1] >= 3 else x


def luma_flip(x: Tensor, flip: Tensor) -> Tensor:
    """(n, c, h, w) with light and dark exchanged and colours kept where (n,) bool says so: brightness b becomes -b."""
    return _coloured(x, lambda colour: colour - _each(2.0 * flip) * colour.mean(1, keepdim=True))


def translation(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """(n, c, h, w) shifted by (n,) and (n,) whole pixels, zeros behind it."""
    n, _, h, w = x.shape
    rows = (torch.arange(h, device=x.device) - down[:, None] + 1).clamp(0, h + 1)  # 0 and h + 1 are the zeros of the frame
    columns = (torch.arange(w, device=x.device) - right[:, None] + 1).clamp(0, w + 1)
    framed = pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    return framed[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def cutout(x: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """(n, c, h, w) with zeros in a box of height x width pixels whose corner is at (n,), (n,); it may reach beyond the image."""
    h, w = x.shape[2:]
    rows = torch.arange(h, device=x.device) - top[:, None]
    columns = torch.arange(w, device=x.device) - left[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    return x * ~inside[:, None]


class Change(nn.Module):
    """A random change of images: (n, c, h, w) -> the same."""

    @abstractmethod
    def drawn(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """One change for each image of x (n, c, h, w): the same at every call, so that images can be compared under it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.drawn(x)(x)


class DiffAugment(Change):
    """`diffaugment` as a module: (n, c, h, w) -> the same."""

    def drawn(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        h, w = x.shape[2:]
        light, colour, apart = _uniform(x, -0.5, 0.5), _uniform(x, 0, 2), _uniform(x, 0.5, 1.5)
        down, right = _whole(x, h * SHIFT), _whole(x, w * SHIFT)
        tops, lefts = (torch.randint(0, side + 1, (len(x),), device=x.device) for side in (h, w))

        def change(x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                x = contrast(saturation(brightness(x.float(), light), colour), apart)
                x = translation(x, down, right)
                return cutout(x, tops - int(h * HOLE / 2), lefts - int(w * HOLE / 2), int(h * HOLE), int(w * HOLE))

        return change


class Adaptive(Change):
    """ADA's pipeline: each operation strikes each image with probability p (Karras et al., 2020, arXiv:2006.06676, fig. 2 and app. B).

    Pixel blits (mirror, quarter turns, whole shifts), geometry (scale, turn, stretch, shift) and colour, the paper's `bgc` set with its
    ranges: (n, c, h, w) -> the same. Quarter turns of images that are not square are half turns. Images are resampled once,
    bilinearly, where the paper filters with wavelets. p is the parameter `strength[0]`: whoever trains moves it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.ParameterList([nn.Parameter(torch.tensor(START))])

    @property
    def p(self) -> Tensor:
        """Probability of each operation, a scalar from 0 to MOST."""
        return self.strength[0].detach()

    def drawn(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            matrix, recolour = self._matrix(x), self._recolouring(x)

        def change(x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                return recolour(affine(x.float(), matrix))

        return change

    def _matrix(self, x: Tensor) -> Tensor:
        """(n, 2, 3) for `affine`: all moves of one image in one, so that it is resampled once."""
        h, w = x.shape[2:]
        quarter, turned = (math.pi / 2, 4) if h == w else (math.pi, 2)
        turns = self._sometimes(x, torch.randint(0, turned, (len(x),), device=x.device) * quarter)
        mirrors = self._sometimes(x, torch.randint(0, 2, (len(x),), device=x.device))
        whole = self._sometimes(x, torch.stack([_whole(x, side * SHIFT) for side in (w, h)]))
        zoom = 2 ** self._sometimes(x, _normal(x, 0.2))
        part = 1 - (1 - self.p).sqrt()  # before and after the stretch: together they turn with probability p
        before, after = (self._sometimes(x, _uniform(x, -math.pi, math.pi), part) for _ in range(2))
        stretch = 2 ** self._sometimes(x, _normal(x, 0.2))
        drift = self._sometimes(x, torch.stack([_normal(x, SHIFT) * side for side in (w, h)]))
        moves = [_scaling(1 - 2 * mirrors, torch.ones_like(zoom)), _turning(turns), _shifting(*whole), _scaling(zoom, zoom)]
        moves += [_turning(before), _scaling(stretch, 1 / stretch), _turning(after), _shifting(*drift)]
        whole_move = moves[0]
        for move in moves[1:]:
            whole_move = whole_move @ move
        return whole_move[:, :2]

    def _recolouring(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        light = self._sometimes(x, _normal(x, 0.2))
        apart = 2 ** self._sometimes(x, _normal(x, 0.5))  # the paper's contrast: about 0
        flip = self._sometimes(x, torch.randint(0, 2, (len(x),), device=x.device))
        angle = self._sometimes(x, _uniform(x, -math.pi, math.pi))
        colour = 2 ** self._sometimes(x, _normal(x, 1.0))

        def recolour(x: Tensor) -> Tensor:
            x = _coloured(brightness(x, light), lambda colours: colours * _each(apart))
            return saturation(hue(luma_flip(x, flip), angle), colour)

        return recolour

    def _sometimes(self, x: Tensor, values: Tensor, p: Tensor | None = None) -> Tensor:
        """(n,) values, each with probability p, else 0; or (2, n), both or none of an image's two, as a shift along both axes is one
        operation."""
        return torch.where(torch.rand(len(x), device=x.device) < (self.p if p is None else p), values.float(), 0.0)


def _scaling(right: Tensor, down: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([right, down, torch.ones_like(right)], 1))


def _turning(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    nil = torch.zeros_like(angle)
    return torch.stack([cos, -sin, nil, sin, cos, nil, nil, nil, nil + 1], 1).view(-1, 3, 3)


def _shifting(right: Tensor, down: Tensor) -> Tensor:
    one, nil = torch.ones_like(right), torch.zeros_like(right)
    return torch.stack([one, nil, right, nil, one, down, nil, nil, one], 1).view(-1, 3, 3)


def _coloured(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """x with its colour channels changed."""
    return torch.cat([change(x[:, :3]), x[:, 3:]], 1) if x.shape[1] > 3 else change(x)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(len(x), device=x.device)


def _normal(x: Tensor, spread: float) -> Tensor:
    return spread * torch.randn(len(x), device=x.device)


def _whole(x: Tensor, most: float) -> Tensor:
    """(n,) whole numbers from -most to most."""
    return torch.randint(-round(most), round(most) + 1, (len(x),), device=x.device)
