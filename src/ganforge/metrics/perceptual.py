"""How alike two images look to a network: LPIPS over any network that gives its maps (Zhang et al., 2018, arXiv:1801.03924)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core.errors import DataError

Maps = Callable[[Tensor], Sequence[Tensor]]
"""Images (n, c, h, w) -> maps [(n, k1, h1, w1), (n, k2, h2, w2), ...]; the network brings images to the scale that it knows itself."""


def perceptual_distance(network: Maps, a: Tensor, b: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
    """Sum over layers of the mean over places of |w (y_a - y_b)|^2: images (n, c, h, w), same -> (n,) >= 0, differentiable in both.

    y is a layer's map divided at every place by its length over channels; w^2 is `weights`, one vector (k,) >= 0 a layer, all
    1 if None (Zhang et al., 2018, arXiv:1801.03924, eq. 1). It is LPIPS with that paper's network and linear heads; with others
    name it after the network. Without heads the number is larger, and does not compare with LPIPS.
    Each value is exact for its pair; a mean over pairs is as sure as their number. Raises DataError for images of different
    shapes and for weights that do not fit the maps.
    """
    if a.shape != b.shape:
        raise DataError(f"a perceptual distance needs images of one shape; got {tuple(a.shape)} and {tuple(b.shape)}.")
    maps = [(_unit(x), _unit(y)) for x, y in zip(network(a), network(b), strict=True)]
    widths = [x.shape[1] for x, _ in maps]
    if weights is not None and [w.numel() for w in weights] != widths:
        raise DataError(f"weights must fit the network's maps of {widths} channels; got {[w.numel() for w in weights]}.")
    total = a.new_zeros(len(a))
    for layer, (x, y) in enumerate(maps):
        squared = (x - y).square()
        if weights is not None:
            squared = squared * weights[layer].to(squared).reshape(1, -1, 1, 1)
        total = total + squared.sum(1).mean((1, 2))
    return total


def _unit(x: Tensor) -> Tensor:
    """Each place's vector over channels brought to length 1; a vector of zeros stays one, with a slope that is finite."""
    return x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-20)
