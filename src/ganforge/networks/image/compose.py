"""From what was given and what a network draws to the finished image. A network that draws zeros leaves the plain, classical result.

Images are in [-1, 1]; results may leave it a little, and are clamped where they are saved. Wrappers are as far-sighted, and as exact, as
their network; together they are one module, which is what is saved and exported.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .translator import Translator

RED, GREEN, BLUE = 0.299, 0.587, 0.114
"""Weights of luma (ITU-R BT.601)."""


class _Around(Translator):
    """A network and its facts; what is done with it is told by the wrappers below."""

    def __init__(self, net: Translator, same_size: bool = True) -> None:
        super().__init__()
        if same_size and net.scale != 1:
            raise ValueError(f"{type(self).__name__} keeps the size of the image; got a network that enlarges {net.scale} times.")
        self.net, self.inputs = net, net.inputs
        self.scale, self.reach, self.exact, self.modulus = net.scale, net.reach, net.exact, getattr(net, "modulus", 1)


class Residual(_Around):
    """Add what the network draws: given (n, c, h, w) -> (n, c, h, w). Raises ValueError for a network that enlarges."""

    def __init__(self, net: Translator) -> None:
        super().__init__(net)

    def forward(self, given: Tensor) -> Tensor:
        return given + self.net(given)


class Enlarge(_Around):
    """Add what the network draws to the bicubic enlargement: given (n, c, h, w) -> (n, c, h * scale, w * scale).

    Cubic convolution with a = -0.75. Raises ValueError for a network that does not enlarge.
    """

    def __init__(self, net: Translator) -> None:
        super().__init__(net, same_size=False)
        if net.scale == 1:
            raise ValueError("Enlarge needs a network that enlarges 2, 3 or 4 times; got one of scale 1. Use Residual.")
        self.reach = max(net.reach, 2)  # the enlargement looks that far

    def forward(self, given: Tensor) -> Tensor:
        return interpolate(given, scale_factor=self.scale, mode="bicubic") + self.net(given)


class Fill(_Around):
    """Draw where the mask says so: given (n, 4, h, w) -> RGB (n, 3, h, w).

    given: RGB with holes filled in a classical way, and the mask, 0 known to 1 hole. Known pixels come out as they went in, bit by bit;
    holes are the given fill plus what the network draws (from all 4 channels), values between in proportion. Raises ValueError for a
    network that enlarges.
    """

    def __init__(self, net: Translator) -> None:
        super().__init__(net)

    def forward(self, given: Tensor) -> Tensor:
        known, mask = given[:, :3], given[:, 3:4]
        return torch.where(mask > 0, known + mask * self.net(given), known)  # a sum with 0 would turn -0 into 0, and NaN into all


class Colour(_Around):
    """Colour of given luma: given (n, 1, h, w), or (n, 4, h, w) with hints -> RGB (n, 3, h, w) of exactly that luma.

    given: luma in [-1, 1]; then, where the network takes them, blue-difference and red-difference chroma of hints and where there are any
    (0 or 1). The network draws both chromas, (n, 2, h, w); see `coloured`. Raises ValueError for a network that enlarges.
    """

    def __init__(self, net: Translator) -> None:
        super().__init__(net)

    def forward(self, given: Tensor) -> Tensor:
        return coloured(given[:, :1], self.net(given))


class UnitRange(_Around):
    """A network that was made for pixels in [0, 1], between pixels in [-1, 1]: (n, c, h, w) -> (n, c', h * scale, w * scale)."""

    def __init__(self, net: Translator) -> None:
        super().__init__(net, same_size=False)

    def forward(self, given: Tensor) -> Tensor:
        return self.net((given + 1) / 2) * 2 - 1


def luma(x: Tensor) -> Tensor:
    """RGB (n, 3, h, w) in [-1, 1] -> luma (n, 1, h, w) in [-1, 1] (Y of YCbCr, BT.601, full range)."""
    return RED * x[:, :1] + GREEN * x[:, 1:2] + BLUE * x[:, 2:3]


def chroma(x: Tensor) -> Tensor:
    """RGB (n, 3, h, w) in [-1, 1] -> (n, 2, h, w) in [-1, 1]: blue and red difference (Cb and Cr), 0 for grey."""
    y = luma(x)
    return torch.cat([(x[:, 2:3] - y) / (2 - 2 * BLUE), (x[:, :1] - y) / (2 - 2 * RED)], 1)


def coloured(y: Tensor, differences: Tensor) -> Tensor:
    """Luma (n, 1, h, w) in [-1, 1] and chroma (n, 2, h, w), any numbers -> RGB (n, 3, h, w) in [-1, 1] of this luma.

    Undoes `luma` and `chroma`. A colour that does not exist in this luma is moved towards grey, at the same luma and hue, to the most
    vivid one that does; luma is never changed. In fp32.
    """
    y, differences = y.float(), differences.float()
    blue, red = differences[:, :1] * (2 - 2 * BLUE), differences[:, 1:] * (2 - 2 * RED)
    offset = torch.cat([red, -(RED * red + BLUE * blue) / GREEN, blue], 1)
    room = torch.where(offset > 0, 1 - y, 1 + y).clamp_min(0)  # as far as each channel may go
    share = (room / offset.abs().clamp_min(1e-6)).amin(1, keepdim=True).clamp_max(1)
    return y + share * offset
