"""What a point of light becomes: blur kernels (n, k, k), k odd, each of sum 1, one an example. Parameters are (n,) on the CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.data.degrade.draws import between

STEPS = 64
"""Points of a camera's path; more change no pixel of kernels of usual size."""


def bell(size: int, along: Tensor, across: Tensor, angle: Tensor, power: Tensor, flat: Tensor) -> Tensor:
    """Kernels (n, size, size) of widths `along` and `across` (n,) in pixels, turned by `angle` (n,) radians.

    With q the squared distance in widths: exp(-q^power / 2), a Gaussian for power 1; where `flat` (n,) bool, the plateau
    1 / (1 + q^power) (Real-ESRGAN, Wang et al., 2021, arXiv:2107.10833, sec. 3.2).
    """
    down, right = _grid(size)
    cos, sin = (f(angle)[:, None, None] for f in (torch.cos, torch.sin))
    u, v = right * cos + down * sin, down * cos - right * sin
    q = ((u / along[:, None, None]) ** 2 + (v / across[:, None, None]) ** 2) ** power[:, None, None]
    return _whole(torch.where(flat[:, None, None], 1 / (1 + q), (-q / 2).exp()))


def gaussian(size: int, sigma: Tensor) -> Tensor:
    """Round Gaussians (n, size, size) of sigma (n,) pixels."""
    return bell(size, sigma, sigma, torch.zeros_like(sigma), torch.ones_like(sigma), torch.zeros(len(sigma), dtype=torch.bool))


def sinc(size: int, cutoff: Tensor) -> Tensor:
    """Ideal low passes (n, size, size) that ring as over-sharpened and compressed photographs do; cutoff (n,) from 0 to pi.

    cutoff J1(cutoff r) / (2 pi r) (Real-ESRGAN, arXiv:2107.10833, eq. 6).
    """
    down, right = _grid(size)
    r = torch.hypot(down, right).clamp(min=1e-3)  # at 0 the limit is cutoff^2 / 4 pi, which this is near enough to
    c = cutoff[:, None, None]
    return _whole(c * torch.special.bessel_j1(c * r) / (2 * math.pi * r))


def disc(size: int, radius: Tensor) -> Tensor:
    """Discs (n, size, size) of radius (n,) pixels, of a lens out of focus; edges are soft by a pixel."""
    down, right = _grid(size)
    return _whole((radius[:, None, None] + 0.5 - torch.hypot(down, right)).clamp(0, 1))


def shake(size: int, length: Tensor) -> Tensor:
    """Paths (n, size, size) of a hand-held camera, `length` (n,) pixels long, at most size - 1.

    A point goes on at even speed, turns a little at every step and rarely much, at random (in the manner of Boracchi & Foi, 2012,
    "Modeling the performance of image restoration from motion blur", and DeblurGAN, arXiv:1711.07064, algorithm 1).
    """
    n = len(length)
    wobble = between(0, 1, n)[:, None] * torch.randn(n, STEPS - 1) * (4 / STEPS**0.5)
    jolts = torch.where(torch.rand(n, STEPS - 1) < 1 / STEPS, (torch.rand(n, STEPS - 1) - 0.5) * 2 * math.pi, 0.0)
    heading = between(0, 2 * math.pi, n)[:, None] + (wobble + jolts).cumsum(1)
    steps = torch.stack([heading.sin(), heading.cos()]) * (length / (STEPS - 1))[:, None]  # (2, n, steps)
    path = torch.cat([torch.zeros(2, n, 1), steps.cumsum(2)], 2)
    middle = (path.amin(2, keepdim=True) + path.amax(2, keepdim=True)) / 2
    return _whole(_drawn(path - middle, size))


def within(kernels: Tensor, radius: Tensor) -> Tensor:
    """(n, k, k) with nothing beyond `radius` (n,) pixels up, down, left or right."""
    down, right = _grid(kernels.shape[-1])
    inside = torch.maximum(down.abs(), right.abs()) <= radius[:, None, None]
    return _whole(kernels * inside)


def _drawn(path: Tensor, size: int) -> Tensor:
    """Points (2, n, t), from the centre, as (n, size, size): each spread over the four pixels around it."""
    n = path.shape[1]
    spot = (path + (size - 1) / 2).clamp(0, size - 1)
    first = spot.floor().clamp(max=max(size - 2, 0))
    part = spot - first
    image = torch.zeros(n, size * size)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = (first[0] + dy).clamp(max=size - 1), (first[1] + dx).clamp(max=size - 1)
        share = (part[0] if dy else 1 - part[0]) * (part[1] if dx else 1 - part[1])
        image.scatter_add_(1, (row * size + column).long(), share)
    return image.view(n, size, size)


def _grid(size: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (size, size), from the centre."""
    at = torch.arange(size) - (size - 1) / 2
    down, right = torch.meshgrid(at, at, indexing="ij")
    return down, right


def _whole(kernels: Tensor) -> Tensor:
    return kernels / kernels.sum((1, 2), keepdim=True)
