"""Projected GAN: a discriminator on fixed features of a network that knows photographs (Sauer et al., 2021, arXiv:2111.01007).

They are EfficientNet-lite0's, trained on ImageNet, so a metric on ImageNet features flatters it: measure on others too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from .. import losses
from ..core.recipe import Named
from ..data.source import cache_folder
from ..data.spec import DataSpec
from ..metrics.features.efficientnet import EfficientNet
from ..networks import image
from ..networks.image import projected
from .base import TwoPlayerRecipe

TAPS = {3: 24, 5: 40, 11: 112, 16: 320}
"""Layers of the network whose maps are judged, at 1/4 to 1/32 of its input, and their channels."""


@dataclass(frozen=True, kw_only=True)
class Projected(TwoPlayerRecipe):
    """FastGAN's generator (`--networks` takes any pair's) against four heads on mixed features; grey and colour images."""

    networks: Annotated[image.Networks, Named(image)] = image.fastgan
    z: int = 256
    width: int = 32
    d_width: int = 64
    loss: Annotated[losses.Pair, Named(losses)] = losses.hinge
    augment: str = "diffaugment"
    side: int = 0
    """Images are brought to this size for the features: a multiple of 32 from 64 on; the paper's 224 is the largest that pays.
    0: twice their longer side within these bounds, which is much quicker for small images."""
    beta1: float = 0.0
    beta2: float = 0.99

    def pair(self, spec: DataSpec) -> image.Networks:
        side = self.side or min(224, max(64, -(-max(spec.shape[1:]) // 16) * 32))
        fixed = projected.Fixed(features)
        judge = partial(projected.Discriminator, features=fixed, channels=[*TAPS.values()], side=side)
        return image.Networks(self.networks.generator, judge)


def features(device: torch.device) -> Callable[[Tensor], Sequence[Tensor]]:
    """The pretrained network: (n, 3, h, w) in [-1, 1] -> maps (n, channels, h / 4, w / 4) to 1/32. Raises DataError without weights."""
    network = EfficientNet(None, cache_folder(), device).net

    def maps(x: Tensor) -> list[Tensor]:
        x, found = (x * 127.5 + 0.5) / 128, []  # as it was trained: (pixel - 127) / 128
        for number, layer in enumerate(network.children()):
            x = layer(x)
            if number in TAPS:
                found.append(x)
        return found[: len(TAPS)]

    return maps
