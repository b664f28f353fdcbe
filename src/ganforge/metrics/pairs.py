"""How alike two images are, pixel by pixel and window by window: (n, c, h, w) in [-1, 1] and the same -> (n,), differentiable."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..core.errors import DataError
from ..distances import RANGE, SCALES, WINDOW, windows

MOST = 100.0
"""Decibels: as so much a higher PSNR counts in means over what a model or a classical method makes, or one image met exactly would
decide them."""
PIECE = 1024
"""Side of the pieces that large images are compared in."""


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, 10 log10(4 / mean (a - b)^2): (n, c, h, w), same -> (n,); higher is closer.

    The peak is 2, the range of [-1, 1]. Equal images give infinity. It counts each pixel alone: blur scores better than sharp detail a
    pixel off. Each value is exact for its pair; a mean over pairs is as sure as their number. Raises DataError for shapes that differ.
    """
    _check(a, b, 1)
    return 10 * (RANGE**2 / (a - b).square().flatten(1).mean(1)).log10()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity: (n, c, h, w) in [-1, 1], same -> (n,), up to 1 for equal images; h and w at least 11.

    Mean over all whole windows (11 x 11, Gaussian, sigma 1.5) and channels of
    (2 ma mb + C1)(2 sab + C2) / ((ma^2 + mb^2 + C1)(sa^2 + sb^2 + C2)), C1 = (0.01 L)^2, C2 = (0.03 L)^2, L = 2
    (Wang, Bovik, Sheikh & Simoncelli, 2004, "Image quality assessment", eq. 13, of images moved to [0, 2]; the paper judges grey
    images). Exact for each pair: only the mean over pairs depends on their number.
    Raises DataError for shapes that differ and images smaller than a window.
    """
    _check(a, b, WINDOW)
    light, structure = windows(a + 1, b + 1)
    return (light * structure).flatten(1).mean(1)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity over five scales: (n, c, h, w) in [-1, 1], same -> (n,) in [0, 1]; h and w at least 176.

    Product over scales, each half the size of the one before (means of 2 x 2), of the mean structure term to the powers 0.0448, 0.2856,
    0.3001, 0.2363, 0.1333, the coarsest with the light term too; per channel, then their mean
    (Wang, Simoncelli & Bovik, 2003, "Multiscale structural similarity", eq. 7). Negative means, which have no real power, count as 0.
    Of two samples of a GAN it tells how alike they are: a mean over pairs above that of the data is a sign of collapse (Odena et
    al., 2017, arXiv:1610.09585, sec. 4.2). Raises DataError for shapes that differ and images smaller than a window on the last scale.
    """
    least = WINDOW * 2 ** (len(SCALES) - 1)
    _check(a, b, least)
    a, b, result = a + 1, b + 1, a.new_ones(len(a), a.shape[1])
    for scale, power in enumerate(SCALES):
        light, structure = windows(a, b)
        coarsest = scale == len(SCALES) - 1
        term = (light * structure if coarsest else structure).mean((2, 3)).clamp(min=0)
        result = result * term**power
        if not coarsest:
            a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    return result.mean(1)


def in_pieces(compare: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, window: int = 1) -> Tensor:
    """The mean of `compare` over pieces of about PIECE pixels, weighted by area: (n, c, h, w), same -> (n,).

    So memory does not grow with the images. Of what is a mean over windows of that side it is the very same, as pieces overlap by what
    windows need; of what sees further, such as a network, the same but near the borders of pieces.
    """
    room = [length - window + 1 for length in a.shape[2:]]
    rows, columns = ([*pairwise(round(length * k / parts) for k in range(parts + 1))] for length, parts in ((r, _parts(r)) for r in room))
    found = []
    for (top, low), (left, right) in product(rows, columns):
        one, other = (images[:, :, top : low + window - 1, left : right + window - 1] for images in (a, b))
        found.append(compare(one, other) * ((low - top) * (right - left) / (room[0] * room[1])))
    return torch.stack(found).sum(0)


def _parts(length: int) -> int:
    return max(1, math.ceil(length / PIECE))


def _check(a: Tensor, b: Tensor, least: int) -> None:
    if a.ndim != 4 or a.shape != b.shape:
        raise DataError(f"pairs of images need two tensors (n, c, h, w) of one shape; got {tuple(a.shape)} and {tuple(b.shape)}.")
    if min(a.shape[2:]) < least:
        smaller = " SSIM needs 11, PSNR any size." if least > WINDOW else " PSNR works at any size."
        raise DataError(f"this comparison needs images of at least {least} x {least} pixels; got {a.shape[2]} x {a.shape[3]}.{smaller}")
