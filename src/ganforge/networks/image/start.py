"""How layers start: variance kept from layer to layer, or nothing at all."""

from __future__ import annotations

import math
from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def fan_in(layer: Layer, gain: float = 1.0) -> Layer:
    """Weights N(0, (gain / sqrt(fan in))^2), biases 0. Returns the layer."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def zeros(layer: Layer) -> Layer:
    """Weights and biases 0, so that what the layer is added to is untouched at first. Returns the layer.

    Before a pixel shuffle it is also the start that draws no grid: all pixels of a block are drawn alike
    (Aitken et al., 2017, arXiv:1707.02937, sec. 3).
    """
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def after_slope(slope: float) -> float:
    """The gain that makes up for a leaky ReLU of this slope (He et al., 2015, arXiv:1502.01852, eq. 15)."""
    return math.sqrt(2 / (1 + slope**2))
