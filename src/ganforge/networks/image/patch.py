"""A critic that scores overlapping parts of an image: PatchGAN (Isola et al., 2017, arXiv:1611.07004, sec. 3.2.2), at several scales.

Several scales, each with weights of its own, are pix2pixHD's (Wang et al., 2018, arXiv:1711.11585, sec. 3.2), as is its wide padding, by
which images of any size can be scored.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, leaky_relu

from ...constraints import spectral_norm
from .start import after_slope, fan_in


class Tower(nn.Module):
    """Image (n, c, h, w) -> logits (n, 1, h', w') in fp32, [maps after every activation]: one scale.

    4x4 convolutions with leaky ReLUs: `layers` of stride 2, one of stride 1, and the score. Channels double up to 8 times `width`.
    """

    def __init__(self, inputs: int, width: int, layers: int, norm: bool) -> None:
        super().__init__()
        widths = [inputs, *(width * min(1 << i, 8) for i in range(layers + 1))]
        steps = zip(pairwise(widths), [2] * layers + [1], strict=True)
        self.convs = nn.ModuleList(fan_in(nn.Conv2d(a, b, 4, stride, 2), after_slope(0.2)) for (a, b), stride in steps)
        self.norms = nn.ModuleList(nn.InstanceNorm2d(b) if norm and i else nn.Identity() for i, b in enumerate(widths[1:]))
        self.score = fan_in(nn.Conv2d(widths[-1], 1, 4, 1, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = list[Tensor]()
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = leaky_relu(norm(conv(x)), 0.2)
            maps.append(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.score(x.float()), maps


class Patch(nn.Module):
    """Image x (n, c, h, w), and what it was made from, `given` (n, c', h, w) or None -> logits (n, k) in fp32, [maps].

    inputs: channels of x and `given` together. The logits of all places stand in one row; maps come from the first layer on. layers 3: a
    logit sees 70 x 70 pixels. spectral: spectral norm on every layer (arXiv:1802.05957); otherwise instance norm on all but the first, as
    in the paper with batches of 1, which needs 2 pixels a side. Inputs 3: 2,764,737 parameters.
    """

    def __init__(self, inputs: int, width: int = 64, layers: int = 3, spectral: bool = True) -> None:
        super().__init__()
        self.towers = nn.ModuleList([Tower(inputs, width, layers, not spectral)])
        if spectral:
            spectral_norm(self)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        score, maps = self.towers[0](together(x, given))
        return score.flatten(1), maps


class Pyramid(nn.Module):
    """As `Patch`, but several towers, each with an image half the size of the one before -> [logits (n, k) of each], [maps of all].

    They stay apart, as the smaller ones have far fewer places: whoever takes a mean over all of them would hardly hear the smallest.
    """

    def __init__(self, towers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        h, logits, maps = together(x, given), list[Tensor](), list[Tensor]()
        for i, tower in enumerate(self.towers):
            if i:
                h = avg_pool2d(h, 3, 2, 1, count_include_pad=False)
            score, seen = tower(h)
            logits.append(score.flatten(1))
            maps += seen
        return logits, maps


class Scales(Pyramid):
    """Several patch critics. Without spectral norm the smallest image needs 2 pixels a side."""

    def __init__(self, inputs: int, width: int = 64, layers: int = 3, scales: int = 2, spectral: bool = True) -> None:
        super().__init__(Tower(inputs, width, layers, not spectral) for _ in range(scales))
        if spectral:
            spectral_norm(self)


def together(x: Tensor, given: Tensor | None) -> Tensor:
    """What a critic looks at: the channels of x, then those of `given`, if there is any."""
    return x if given is None else torch.cat([x, given], 1)
