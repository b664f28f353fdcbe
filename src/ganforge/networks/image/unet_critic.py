"""A critic with a logit for every pixel: the U-Net with spectral norm of Real-ESRGAN (Wang et al., 2021, arXiv:2107.10833, sec. 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from ...constraints import spectral_norm
from .start import after_slope, fan_in
from .translator import padded

GAIN = after_slope(0.2)


class UNetCritic(nn.Module):
    """Image x (n, c, h, w), any h and w, and what it was made from, `given` (n, c', h, w) or None -> logits (n, 1, h, w) in fp32, [maps].

    inputs: channels of x and `given` together. Three halvings and back, with sums across (a mask of what is made up can be its target
    pixel by pixel). Maps are those of all levels, on the way down and up, of the image padded to multiples of 8.
    Inputs 3: 4,376,897 parameters.
    """

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()
        self.stem = fan_in(nn.Conv2d(inputs, width, 3, padding=1), GAIN)
        widths = [width << i for i in range(4)]
        self.downs = nn.ModuleList(fan_in(nn.Conv2d(a, 2 * a, 4, 2, 1, bias=False), GAIN) for a in widths[:-1])
        self.ups = nn.ModuleList(fan_in(nn.Conv2d(2 * a, a, 3, padding=1, bias=False), GAIN) for a in widths[-2::-1])
        self.last = nn.ModuleList(fan_in(nn.Conv2d(width, width, 3, padding=1, bias=False), GAIN) for _ in range(2))
        self.score = fan_in(nn.Conv2d(width, 1, 3, padding=1))
        spectral_norm(self)

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        height, width = x.shape[2:]
        h = padded(x if given is None else torch.cat([x, given], 1), 8)
        maps = [leaky_relu(self.stem(h), 0.2)]
        for down in self.downs:
            maps.append(leaky_relu(down(maps[-1]), 0.2))
        h, skips = maps[-1], maps[-2::-1]
        for up, skip in zip(self.ups, skips, strict=True):
            h = leaky_relu(up(interpolate(h, size=skip.shape[2:], mode="bilinear")), 0.2) + skip
            maps.append(h)
        for layer in self.last:
            h = leaky_relu(layer(h), 0.2)
        with torch.autocast(h.device.type, enabled=False):
            return self.score(h.float())[:, :, :height, :width], maps
