"""How alike two pictures look to the best network that is at hand without fetching one, and what that number is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu

from ..core.errors import UsageError, nearest
from ..data.source import cache_folder
from . import weights
from .features import efficientnet
from .features.base import colour
from .features.network import ready
from .perceptual import perceptual_distance
from .random_features import RandomFeatures

TAPS = (1, 3, 5, 8, 11)
"""Layers of EfficientNet-lite0 that are compared: the last of each of its first five stages, at 1/2 to 1/16 of the resolution."""
LEAST = 16
"""Side that pictures need at least."""
KNOWN = (efficientnet.EfficientNet.name, RandomFeatures.name)
"""Whose maps are compared, the better first."""


class Sight(NamedTuple):
    """A perceptual distance and its name; numbers of two names do not compare."""

    name: str
    distance: Callable[[Tensor, Tensor], Tensor]
    """Images (n, 1 or 3, h, w) in [-1, 1], h and w at least LEAST, and their partners -> (n,) >= 0."""


def sight(wanted: str, cache: Path, device: str | torch.device) -> Sight:
    """A perceptual distance (LPIPS without learnt heads: arXiv:1801.03924, eq. 1) over the maps of `wanted`.

    "efficientnet-lite0": a network of photographs; "random": fixed random convolutions, which order pictures of one kind and are not
    for quoting; "": the former if its weights are on this machine, else the latter. Raises UsageError for other names, DataError for
    weights that cannot be had.
    """
    check_name(wanted)
    name = wanted or (KNOWN[0] if weights.at_hand(KNOWN[0], cache, efficientnet.PUBLISHED) else KNOWN[1])
    maps = _photographs(cache, device) if name == KNOWN[0] else _random(device)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        x, y = (colour(images.float().to(device)) for images in (a, b))
        return perceptual_distance(maps, x, y)

    return Sight(f"perceptual-{name}", distance)


class Later:
    """As the distance of `sight(wanted)`, for a loss: the network is fetched and read when the first images come.

    So a method that uses it is built, and a model of it loaded, without. Images (n, 1 or 3, h, w) in [-1, 1], h and w at least LEAST,
    and their partners -> (n,) >= 0, differentiable, in fp32 whatever comes in. Raises as `sight`.
    """

    def __init__(self, wanted: str, device: str | torch.device) -> None:
        check_name(wanted)
        self.wanted, self.device = wanted, device
        self.opened: Sight | None = None

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        if self.opened is None:
            self.opened = sight(self.wanted, cache_folder(), self.device)
        with torch.autocast(a.device.type, enabled=False):
            return self.opened.distance(a, b)


def check_name(wanted: str) -> None:
    """Raise UsageError for a name that is none of KNOWN, nor "" for the best at hand."""
    if wanted and wanted not in KNOWN:
        raise UsageError(f"pictures are compared by the maps of {' or '.join(KNOWN)}; got '{wanted}'.{nearest(wanted, KNOWN)}")


def _photographs(cache: Path, device: str | torch.device) -> Callable[[Tensor], Sequence[Tensor]]:
    state, _ = weights.obtain(efficientnet.EfficientNet.name, efficientnet.convert, cache, published=efficientnet.PUBLISHED)
    layers = ready(efficientnet.network, state, device)[: max(TAPS) + 1]  # type: ignore[index]

    def maps(x: Tensor) -> list[Tensor]:
        found, x = [], (x * 127.5 + 0.5) / 128
        for number, layer in enumerate(layers):
            x = layer(x)
            found += [x] if number in TAPS else []
        return found

    return maps


def _random(device: str | torch.device) -> Callable[[Tensor], Sequence[Tensor]]:
    kernels = RandomFeatures(str(device)).weights

    def maps(x: Tensor) -> list[Tensor]:
        found = []
        for kernel in kernels:
            found.append(leaky_relu(conv2d(x, kernel, padding=1), 0.1))
            x = avg_pool2d(found[-1], 2)
        return found

    return maps
