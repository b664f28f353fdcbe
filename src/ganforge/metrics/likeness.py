"""How alike two pictures look to the best network that is at hand without fetching one, and what that number is called."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, leaky_relu

from ..core.errors import UsageError, nearest
from ..data.source import cache_folder
from ..distances import gram
from . import weights
from .features import efficientnet
from .features import perceptual as vgg
from .features.base import colour
from .features.network import ready
from .perceptual import Maps, perceptual_distance
from .random_features import RandomFeatures

TAPS = (1, 3, 5, 8, 11)
"""Layers of EfficientNet-lite0 that are compared: the last of each of its first five stages, at 1/2 to 1/16 of the resolution."""
LEAST = 16
"""Side that pictures need at least."""
PHOTOGRAPHS = (efficientnet.EfficientNet.name, "vgg16")
"""Networks of photographs, the usual one first."""
KNOWN = (PHOTOGRAPHS[0], RandomFeatures.name, *PHOTOGRAPHS[1:])
"""Whose maps are compared; where nobody asks, the first, or without its weights the second."""


class Sight(NamedTuple):
    """A perceptual distance and its name; numbers of two names do not compare."""

    name: str
    distance: Callable[[Tensor, Tensor], Tensor]
    """Images (n, 1 or 3, h, w) in [-1, 1], h and w at least LEAST, and their partners -> (n,) >= 0."""
    style: Callable[[Tensor, Tensor], Tensor] | None = None
    """The same, but of what is seen together anywhere in them (`distances.gram`); `sight` always has it."""


def sight(wanted: str, cache: Path, device: str | torch.device) -> Sight:
    """A perceptual distance (LPIPS without learnt heads: arXiv:1801.03924, eq. 1) over the maps of `wanted`.

    "efficientnet-lite0" and "vgg16": networks of photographs; "random": fixed random convolutions, which order pictures of one kind and
    are not for quoting; "": the first if its weights are on this machine, else the last. Raises UsageError for other names, DataError
    for weights that cannot be had.
    """
    check_name(wanted)
    name = wanted or (KNOWN[0] if weights.at_hand(KNOWN[0], cache, efficientnet.PUBLISHED) else KNOWN[1])
    maps = {KNOWN[0]: _efficientnet, KNOWN[1]: _random, KNOWN[2]: _vgg}[name](cache, device)

    def ready(images: Tensor) -> Tensor:
        return colour(images.float().to(device))

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return perceptual_distance(maps, ready(a), ready(b))

    def style(a: Tensor, b: Tensor) -> Tensor:
        return gram(maps(ready(a)), maps(ready(b)))

    return Sight(f"perceptual-{name}", distance, style)


class Later:
    """As the distance of `sight(wanted)`, and its style, for a loss: the network is fetched and read when the first images come.

    So a method that uses it is built, and a model of it loaded, without. Images (n, 1 or 3, h, w) in [-1, 1], h and w at least LEAST,
    and their partners -> (n,) >= 0, differentiable, in fp32 whatever comes in. Raises as `sight`.
    """

    def __init__(self, wanted: str, device: str | torch.device) -> None:
        check_name(wanted)
        self.wanted, self.device = wanted, device
        self.opened: Sight | None = None

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        with torch.autocast(a.device.type, enabled=False):
            return self._sight().distance(a, b)

    def style(self, a: Tensor, b: Tensor) -> Tensor:
        """Of the same network, which is read once."""
        style = self._sight().style
        assert style is not None
        with torch.autocast(a.device.type, enabled=False):
            return style(a, b)

    def _sight(self) -> Sight:
        self.opened = self.opened or sight(self.wanted, cache_folder(), self.device)
        return self.opened


def other_than(looked: Collection[str], cache: Path) -> str:
    """Whose maps to judge by where a loss has looked through those of `looked`: another network of photographs at hand, else "random"."""
    published = {KNOWN[0]: efficientnet.PUBLISHED, KNOWN[2]: vgg.published(KNOWN[2])}
    free = (name for name in PHOTOGRAPHS if name not in looked and weights.at_hand(name, cache, published[name]))
    return next(free, KNOWN[1])


def check_name(wanted: str) -> None:
    """Raise UsageError for a name that is none of KNOWN, nor "" for the best at hand."""
    if wanted and wanted not in KNOWN:
        raise UsageError(f"pictures are compared by the maps of {' or '.join(KNOWN)}; got '{wanted}'.{nearest(wanted, KNOWN)}")


def _efficientnet(cache: Path, device: str | torch.device) -> Maps:
    state, _ = weights.obtain(efficientnet.EfficientNet.name, efficientnet.convert, cache, published=efficientnet.PUBLISHED)
    layers = ready(efficientnet.network, state, device)[: max(TAPS) + 1]  # type: ignore[index]

    def maps(x: Tensor) -> list[Tensor]:
        found, x = [], (x * 127.5 + 0.5) / 128
        for number, layer in enumerate(layers):
            x = layer(x)
            found += [x] if number in TAPS else []
        return found

    return maps


def _vgg(cache: Path, device: str | torch.device) -> Maps:
    return vgg.load("vgg16", None, cache, device)[0]


def _random(cache: Path, device: str | torch.device) -> Maps:
    kernels = RandomFeatures(str(device)).weights

    def maps(x: Tensor) -> list[Tensor]:
        found = []
        for kernel in kernels:
            found.append(leaky_relu(conv2d(x, kernel, padding=1), 0.1))
            x = avg_pool2d(found[-1], 2)
        return found

    return maps
