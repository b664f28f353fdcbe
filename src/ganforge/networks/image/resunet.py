"""A U-Net of gated residual blocks, after NAFNet (Chen et al., 2022, arXiv:2204.04676), for images of any size.

Own code from the published facts. Departures: no attention over channels, whose mean over the whole image would make every pixel depend on
all others (tiles would show); zero weights where the paper scales residuals by zeros; bilinear enlargement where it shuffles pixels,
which draws no grid whatever the weights are. Beyond it: decoders may be told at every resolution what the input shows there (SPADE).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, relu

from .start import after_slope, fan_in, zeros
from .translator import Step, Translator, bilinear_double, check_scale, conv, fold, padded, reach, unfold

HIDDEN = 128
"""Most channels in which a norm looks at an image: those of SPADE's published networks. As a rule half as many as it scales."""


class Spade(nn.Module):
    """Features x (n, h, w, c) of which every place is brought to mean 0 and variance 1, then scaled and shifted by what an image
    (n, d, h, w) shows around it -> (n, h, w, c) (SPADE: Park et al., 2019, arXiv:1903.07291, eq. 1-3).

    So labels are not lost on plain areas, which norms make alike. Theirs takes means over the batch; ours sees one pixel, as in `Block`.
    """

    def __init__(self, channels: int, inputs: int) -> None:
        super().__init__()
        hidden = min(HIDDEN, max(1, channels // 2))
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.look = fan_in(nn.Conv2d(inputs, hidden, 3, padding=1), after_slope(0))
        self.scale_shift = fan_in(nn.Conv2d(hidden, 2 * channels, 3, padding=1))

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        scale, shift = self.scale_shift(relu(self.look(image))).permute(0, 2, 3, 1).chunk(2, -1)
        modulated: Tensor = self.norm(x) * (1 + scale) + shift
        return modulated


class Block(nn.Module):
    """Two gated residual paths: (n, c, h, w) -> (n, c, h, w), the identity at the start (paper, fig. 3).

    x + 1x1(gate(depthwise 3x3(1x1(norm(x))))), then the same without the 3x3. The gate multiplies one half of the channels with the other.
    Norms see one pixel at a time, so that neighbours stay independent. Channels come last inside: 1x1 convolutions are matrix products.
    spade: channels of an image (n, spade, h, w) by which the norms scale and shift; 0: none.
    """

    def __init__(self, channels: int, spade: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = (Spade(channels, spade) if spade else nn.LayerNorm(channels) for _ in range(2))
        self.widen = fan_in(nn.Linear(channels, 2 * channels))
        self.spatial = fan_in(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels))
        self.narrow = zeros(nn.Linear(channels, channels))
        self.mix = fan_in(nn.Linear(channels, 2 * channels))
        self.join = zeros(nn.Linear(channels, channels))

    def forward(self, x: Tensor, *image: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        near = self.spatial(self.widen(self.norm1(x, *image)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.narrow(gate(near))
        x = x + self.join(gate(self.mix(self.norm2(x, *image))))
        return x.permute(0, 3, 1, 2)


class ResUNet(Translator):
    """x (n, inputs, h, w) -> (n, outputs, h * scale, w * scale), any h and w; zeros at the start.

    width: channels at full resolution, doubled at each of `depth` halvings; blocks: on the way down, at the bottom, and on the way up, at
    each resolution. spade: norms on the way up look at x, brought to their size by means, 3x3 twice: no further than the way down sees.
    Raises ValueError for a scale other than 1, 2, 3 or 4.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 16, depth: int = 3, blocks: int = 2, scale: int = 1, spade: bool = False
    ) -> None:
        super().__init__()
        self.inputs, self.scale, self.modulus, self.spade = inputs, check_scale(scale, "ResUNet"), 1 << depth, spade
        widths = [width << i for i in range(depth + 1)]
        self.stem = fan_in(nn.Conv2d(inputs, width, 3, padding=1))
        self.encoders = nn.ModuleList(_blocks(w, blocks) for w in widths[:-1])
        self.downs = nn.ModuleList(fan_in(nn.Conv2d(a, 2 * a, 2, 2)) for a in widths[:-1])
        self.bottom = _blocks(widths[-1], blocks)
        self.ups = nn.ModuleList(fan_in(nn.Conv2d(2 * a, a, 1, bias=False)) for a in widths[-2::-1])
        self.decoders = nn.ModuleList(_blocks(w, blocks, inputs if spade else 0) for w in widths[-2::-1])
        self.head = zeros(nn.Conv2d(width, outputs * scale**2, 3, padding=1))
        level: Step = conv(3, blocks)
        downs, ups = [level, fold(2)] * depth, [bilinear_double, level] * depth
        self.reach = reach([conv(3), *downs, level, *ups, conv(3), unfold(scale)], scale, self.modulus)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2] * self.scale, x.shape[3] * self.scale
        x = padded(x, self.modulus)
        h, skips = self.stem(x), list[Tensor]()
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            skips.append(encoder(h))
            h = down(skips[-1])
        h = self.bottom(h)
        for level, (up, decoder) in enumerate(zip(self.ups, self.decoders, strict=True), 1):
            skip = skips.pop()
            h = skip + interpolate(up(h), size=skip.shape[2:], mode="bilinear")
            image = [avg_pool2d(x, self.modulus >> level)] if self.spade else []
            for block in decoder.children():
                h = block(h, *image)
        return pixel_shuffle(self.head(h), self.scale)[:, :, :height, :width]


def gate(x: Tensor) -> Tensor:
    """(..., 2c) -> (..., c): the first half of the channels times the second (paper, eq. 4)."""
    a, b = x.chunk(2, -1)
    return torch.mul(a, b)


def _blocks(channels: int, count: int, spade: int = 0) -> nn.Sequential:
    return nn.Sequential(*(Block(channels, spade) for _ in range(count)))
