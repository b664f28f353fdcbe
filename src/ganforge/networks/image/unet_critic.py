"""A critic that scores every pixel: the U-Net discriminator (Schönfeld et al., 2020, arXiv:2002.12655), as Real-ESRGAN has it.

Own code from the published facts (Wang et al., 2021, arXiv:2107.10833, sec. 3.3): the image is halved three times and doubled as often,
skips are added, most layers have spectral norm. Like there, and other than in the first paper, the way down has no logit of its own.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm, interpolate, leaky_relu

from ...constraints import spectral_norm
from .patch import Pyramid, together
from .start import after_slope, fan_in
from .translator import padded

HALVINGS = 3
"""How often the way down halves the resolution."""
SLOPE = 0.2
"""Of the leaky ReLUs."""


class UNet(nn.Module):
    """Image x (n, c, h, w), and `given` (n, c', h, w) or None -> logits (n, h * w) in fp32, row by row, [maps after every activation].

    inputs: channels of x and `given` together; width: channels at full resolution, doubled at every halving. Sides that 8 does not divide
    are padded inside by repeating the border; logits of the padding are left out. spectral: spectral norm (arXiv:1802.05957) on all layers
    but the first and the last; otherwise instance norm on the same layers, but not at the bottom, where a map can be a single pixel.
    Inputs 3: 4,376,897 parameters.
    """

    def __init__(self, inputs: int, width: int = 64, spectral: bool = True) -> None:
        super().__init__()
        widths = [width << i for i in range(HALVINGS + 1)]
        self.first = fan_in(nn.Conv2d(inputs, width, 3, padding=1), after_slope(SLOPE))
        self.downs = nn.ModuleList(_inner(a, b, 4, 2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(_inner(a, b) for a, b in pairwise(widths[::-1]))
        self.lasts = nn.ModuleList(_inner(width, width) for _ in range(2))
        self.score = fan_in(nn.Conv2d(width, 1, 3, padding=1))
        self.spectral = spectral
        for layers in (self.downs, self.ups, self.lasts) if spectral else ():
            spectral_norm(layers)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        height, width = x.shape[2:]
        maps = [leaky_relu(self.first(padded(together(x, given), 1 << HALVINGS)), SLOPE)]
        for i, down in enumerate(self.downs, 1):
            maps.append(self._active(down(maps[-1]), norm=i < HALVINGS))
        h, skips = maps[-1], maps[-2::-1]
        for up, skip in zip(self.ups, skips, strict=True):
            maps.append(self._active(up(interpolate(h, size=skip.shape[2:], mode="bilinear"))))
            h = maps[-1] + skip
        for last in self.lasts:
            h = self._active(last(h))
            maps.append(h)
        with torch.autocast(x.device.type, enabled=False):
            return self.score(h.float())[:, :, :height, :width].flatten(1), maps

    def _active(self, h: Tensor, norm: bool = True) -> Tensor:
        return leaky_relu(instance_norm(h) if norm and not self.spectral else h, SLOPE)


class UNets(Pyramid):
    """Several of them, each with an image half the size of the one before -> [logits (n, k) of each], [maps of all]."""

    def __init__(self, inputs: int, width: int = 64, scales: int = 2, spectral: bool = True) -> None:
        super().__init__(UNet(inputs, width, spectral) for _ in range(scales))


def _inner(a: int, b: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """No bias: the first and the last layer have one, as published."""
    return fan_in(nn.Conv2d(a, b, size, stride, 1, bias=False), after_slope(SLOPE))
