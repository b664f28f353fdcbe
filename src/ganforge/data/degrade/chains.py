"""The two chains that photographs on the web went through, mild and harsh: one image (1, 3, h, w) in [-1, 1] -> (1, 3, rows, columns)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ganforge.data.degrade import atoms, kernels
from ganforge.data.degrade.atoms import Filter
from ganforge.data.degrade.draws import between, chance, number, pick, shuffled, whole

KERNEL = 21
"""Side of the kernels; those drawn smaller have zeros around."""
FILTERS: tuple[Filter, ...] = ("area", "bilinear", "bicubic")
SHAPES = ("round", "oval", "general round", "general oval", "plateau round", "plateau oval")
SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
RINGING, GREY = 0.1, 0.4
"""Share of kernels that are ideal low passes, and of noises that are the same in all colours."""


class _Round(NamedTuple):
    """Strengths of one round, from Real-ESRGAN's published settings."""

    blur: float
    """Probability of a blur."""
    widths: tuple[float, float]
    way: tuple[float, float, float]
    """Probabilities to enlarge, to shrink and to keep the size."""
    sizes: tuple[float, float]
    sigma: tuple[float, float]
    photons: tuple[float, float]


FIRST = _Round(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3.0))
SECOND = _Round(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5))


def harshly(x: Tensor, rows: int, columns: int) -> Tensor:
    """Twice over blur, resizing, noise and JPEG (Real-ESRGAN, Wang et al., 2021, arXiv:2107.10833, sec. 3, with its published strengths).

    Within each round the order is shuffled (BSRGAN, Zhang et al., 2021, arXiv:2103.14006, sec. 3.5). The last resizing, followed four
    times in five by an ideal low pass, and the last JPEG come in either order.
    """
    h, w = x.shape[2:]
    for step in shuffled([*_steps(FIRST, h, w), _compressed]):
        x = step(x)
    for step in shuffled(_steps(SECOND, rows, columns)):
        x = step(x)

    def fitted(x: Tensor) -> Tensor:
        x = atoms.resized(x, rows, columns, pick(FILTERS), smooth=False)
        return atoms.blur(x, _ringing(whole(3, 10), (math.pi / 3, math.pi))) if chance(0.8) else x

    for step in shuffled([fitted, _compressed]):
        x = step(x)
    return atoms.stored(x)


def webbed(x: Tensor, rows: int, columns: int) -> Tensor:
    """Slightly blurred, resized once on the way (3 in 10) and then to the wanted size, slightly noisy, sharpened, JPEG of quality 40 to 95.

    Three in ten were compressed before. Far milder than `harshly`, whose networks paint over fine detail of good photographs.
    """
    h, w = x.shape[2:]
    if chance(0.5):
        x = atoms.blur(x, kernels.gaussian(KERNEL, between(0.2, 1.2)))
    if chance(0.3):
        by = number(0.7, 1.4)
        x = atoms.resized(x, round(h * by), round(w * by), pick(FILTERS))
    if chance(0.3):
        x = atoms.jpeg(x, torch.randint(70, 96, (1,)))
    x = atoms.resized(x, rows, columns, pick(FILTERS))
    if chance(0.3):
        x = atoms.gaussian_noise(x, between(0, 3))
    if chance(0.3):
        x = atoms.sharpened(x, between(0.2, 1), kernels.gaussian(7, between(0.6, 1.2)))
    return atoms.jpeg(x, torch.randint(40, 96, (1,)), torch.rand(1) < 0.8)


def _steps(how: _Round, h: int, w: int) -> list[Callable[[Tensor], Tensor]]:
    """Blur, resizing (against h x w) and noise of one round, their parameters still to be drawn."""

    def blurred(x: Tensor) -> Tensor:
        return atoms.blur(x, _kernel(how)) if chance(how.blur) else x

    def scaled(x: Tensor) -> Tensor:
        low, high = pick(((1.0, how.sizes[1]), (how.sizes[0], 1.0), (1.0, 1.0)), how.way)
        by = number(low, high)
        return atoms.resized(x, round(h * by), round(w * by), pick(FILTERS), smooth=False)

    def noisy(x: Tensor) -> Tensor:
        shared = torch.rand(1) < GREY
        if chance(0.5):
            return atoms.gaussian_noise(x, between(*how.sigma), shared)
        return atoms.poisson_noise(x, between(*how.photons), shared)

    return [blurred, scaled, noisy]


def _compressed(x: Tensor) -> Tensor:
    return atoms.jpeg(x, torch.randint(30, 96, (1,)))


def _kernel(how: _Round) -> Tensor:
    """(1, 21, 21): the kinds of blur of Real-ESRGAN, on 7 x 7 to 21 x 21 pixels."""
    radius = whole(3, 10)
    if chance(RINGING):
        return _ringing(radius, (math.pi / 3 if radius < 6 else math.pi / 5, math.pi))
    shape = pick(SHAPES, SHARES)
    along = between(*how.widths)
    across = between(*how.widths) if shape.endswith("oval") else along
    flat = torch.tensor([shape.startswith("plateau")])
    power = between(1, 2) if flat else between(0.5, 4) if shape.startswith("general") else torch.ones(1)
    kernel = kernels.bell(KERNEL, along, across, between(-math.pi, math.pi), power, flat)
    return kernels.within(kernel, torch.tensor([float(radius)]))


def _ringing(radius: int, cutoff: tuple[float, float]) -> Tensor:
    return kernels.within(kernels.sinc(KERNEL, between(*cutoff)), torch.tensor([float(radius)]))
