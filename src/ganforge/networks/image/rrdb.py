"""Residual-in-residual dense blocks, the generator of ESRGAN (Wang et al., 2018, arXiv:1809.00219, sec. 3.1): good, and slow.

Weights are kept by the names of the released networks, so that those fit (community.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_unshuffle

from .start import after_slope, fan_in, zeros
from .translator import Translator, check_scale, conv, fold, padded, reach, unfold

GAIN = after_slope(0.2)
SMALL = 0.1
"""Blocks start with so much of the usual weights (paper, sec. 3.1)."""
DAMP = 0.2
"""What residuals are multiplied with (paper, sec. 3.1)."""
STEPS: dict[int, tuple[int, ...]] = {1: (), 2: (2,), 3: (3,), 4: (2, 2)}
"""In which steps the blocks' resolution becomes the output's."""


class Dense(nn.Module):
    """Five 3x3 convolutions, each of which sees all before it: x + 0.2 f(x), (n, c, h, w) -> (n, c, h, w)."""

    def __init__(self, width: int, grow: int) -> None:
        super().__init__()
        for i in range(1, 6):
            layer = nn.Conv2d(width + (i - 1) * grow, grow if i < 5 else width, 3, padding=1)
            self.add_module(f"conv{i}", fan_in(layer, SMALL * GAIN))

    def forward(self, x: Tensor) -> Tensor:
        *layers, last = self.children()
        seen = x
        for layer in layers:
            seen = torch.cat([seen, leaky_relu(layer(seen), 0.2)], 1)
        return x + DAMP * last(seen)


class Block(nn.Module):
    """x + 0.2 f(x) of three dense blocks: (n, c, h, w) -> (n, c, h, w) (paper, fig. 4)."""

    def __init__(self, width: int, grow: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = Dense(width, grow), Dense(width, grow), Dense(width, grow)

    def forward(self, x: Tensor) -> Tensor:
        return x + DAMP * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDB(Translator):
    """x (n, inputs, h, w) -> (n, outputs, h * scale, w * scale), any h and w; zeros at the start.

    folded: squares of so many pixels a side become channels first, so that the blocks work at a lower resolution. 0: as Real-ESRGAN
    (arXiv:2107.10833, sec. 3.3), 4 at scale 1, 2 at scale 2, else 1. Enlarged by nearest neighbour and 3x3 convolutions.
    Raises ValueError for a scale other than 1 to 4, and unless folded * scale is 1 to 4. From RGB to RGB: 16,697,987 parameters.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 64, grow: int = 32, blocks: int = 23, scale: int = 4, *, folded: int = 0
    ) -> None:
        super().__init__()
        self.inputs, self.scale = inputs, check_scale(scale, "RRDB")
        self.modulus = folded or {1: 4, 2: 2}.get(scale, 1)
        if self.modulus * scale not in STEPS:
            raise ValueError(f"RRDB enlarges what it has folded 1 to 4 times in all; got scale {scale} and folded {self.modulus}.")
        self.steps = STEPS[self.modulus * scale]
        self.conv_first = fan_in(nn.Conv2d(inputs * self.modulus**2, width, 3, padding=1))
        self.body = nn.Sequential(*(Block(width, grow) for _ in range(blocks)))
        self.conv_body = fan_in(nn.Conv2d(width, width, 3, padding=1), SMALL)
        for i in range(1, len(self.steps) + 1):
            self.add_module(f"conv_up{i}", fan_in(nn.Conv2d(width, width, 3, padding=1), GAIN))
        self.conv_hr = fan_in(nn.Conv2d(width, width, 3, padding=1), GAIN)
        self.conv_last = zeros(nn.Conv2d(width, outputs, 3, padding=1))
        ups = [step for times in self.steps for step in (unfold(times), conv(3))]
        self.reach = reach([fold(self.modulus), conv(3, 15 * blocks + 2), *ups, conv(3, 2)], scale, self.modulus)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2] * self.scale, x.shape[3] * self.scale
        h = self.conv_first(pixel_unshuffle(padded(x, self.modulus), self.modulus))
        h = h + self.conv_body(self.body(h))
        for i, times in enumerate(self.steps, 1):
            h = leaky_relu(getattr(self, f"conv_up{i}")(interpolate(h, scale_factor=times, mode="nearest")), 0.2)
        return self.conv_last(leaky_relu(self.conv_hr(h), 0.2))[:, :, :height, :width]
