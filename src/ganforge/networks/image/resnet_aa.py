"""The residual generator of CycleGAN and CUT with filtered resampling, for images of any size.

Own code from the published facts: Johnson et al. (2016, arXiv:1603.08155) by way of CycleGAN (Zhu et al., 2017, arXiv:1703.10593,
sec. 7.1); blurred before every second pixel is left out, and enlarged bilinearly before a convolution (Zhang, 2019,
arXiv:1904.11486; CUT, Park et al., 2020, arXiv:2007.15651, app. C.1). Departures: borders are repeated where the paper mirrors them, which
tiny images do not allow; and layers start with their variance kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from .equalised import double, smooth
from .pixels import squashed
from .start import fan_in, zeros
from .translator import Translator, bilinear_double, blur_half, conv, padded, reach

GAIN = 2**0.5
"""What a ReLU takes away (arXiv:1502.01852)."""


class Conv(nn.Module):
    """Convolution of an odd size with borders repeated, instance norm, and a ReLU unless `last`: (n, a, h, w) -> (n, b, h, w)."""

    def __init__(self, a: int, b: int, size: int = 3, *, last: bool = False) -> None:
        super().__init__()
        self.conv = fan_in(nn.Conv2d(a, b, size, padding=size // 2, padding_mode="replicate"), GAIN)
        self.norm, self.last = nn.InstanceNorm2d(b), last

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.conv(x))
        return h if self.last else relu(h)


class Block(nn.Module):
    """x + norm(3x3(relu(norm(3x3(x))))): (n, c, h, w) -> (n, c, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = nn.Sequential(Conv(channels, channels), Conv(channels, channels, last=True))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.path(x)


class Down(nn.Module):
    """3x3, norm, ReLU, then blurred to half the size: (n, a, h, w), h and w even -> (n, 2a, h / 2, w / 2)."""

    def __init__(self, a: int) -> None:
        super().__init__()
        self.conv = Conv(a, 2 * a)

    def forward(self, x: Tensor) -> Tensor:
        return smooth(pad(self.conv(x), (1, 1, 1, 1), mode="replicate"), 0, stride=2)


class Up(nn.Module):
    """Bilinear to twice the size, then 3x3, norm, ReLU: (n, 2a, h, w) -> (n, a, 2h, 2w)."""

    def __init__(self, a: int) -> None:
        super().__init__()
        self.conv = Conv(2 * a, a)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(double(x))


class ResNet(Translator):
    """x (n, inputs, h, w), any h and w -> (n, outputs, h, w) in (-1, 1), or around it if `residual`.

    `width` channels at full resolution, four times as many in the `blocks` blocks at a quarter of it. Instance norm takes means over the
    whole image, so tiles differ from the whole (exact: False). From RGB to RGB: 11,378,179 parameters, with 6 blocks 7,837,699.
    residual: what is drawn is added to x, and is nothing at the start. Raises ValueError where that has other channels.
    """

    exact = False
    modulus = 8
    """4, and twice, so that norms never see a single pixel."""

    def __init__(self, inputs: int, outputs: int, width: int = 64, blocks: int = 9, residual: bool = False) -> None:
        super().__init__()
        if residual and inputs != outputs:
            raise ValueError(f"a change can only be added to as many channels as it has: got {inputs} in and {outputs} out.")
        self.inputs, self.residual = inputs, residual
        self.encoder = nn.ModuleList([Conv(inputs, width, 7), Down(width), Down(2 * width), *(Block(4 * width) for _ in range(blocks))])
        self.decoder = nn.Sequential(Up(2 * width), Up(width))
        head = nn.Conv2d(width, outputs, 7, padding=3, padding_mode="replicate")
        self.head = zeros(head) if residual else fan_in(head)
        self.taps = tuple(sorted({0, 2, 3, min(4, blocks + 3), (blocks + 1) // 2 + 3}))
        """Layers that contrastive losses look at: the image, both halvings, the first block, the one in the middle (CUT, app. C.2)."""
        downs, ups = [conv(3), blur_half] * 2, [bilinear_double, conv(3)] * 2
        self.reach = reach([conv(7), *downs, conv(3, 2 * blocks), *ups, conv(7)], 1, self.modulus)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        h = padded(x, self.modulus)
        for layer in self.encoder:
            h = layer(h)
        drawn = self.head(self.decoder(h))[:, :, :height, :width]
        return x + drawn.float() if self.residual else squashed(drawn)

    def features(self, x: Tensor, layers: Sequence[int] | None = None) -> list[Tensor]:
        """x (n, inputs, h, w) -> the maps (n, c', h', w') after these layers of the encoder, in rising order; None: those of `taps`.

        0 is the image itself, padded; 1 the first convolution; 2 and 3 the halvings; from 4 on the blocks. Nothing beyond the last is
        computed. Raises ValueError for a layer that there is not.
        """
        wanted = set(self.taps if layers is None else layers)
        if not wanted <= set(range(len(self.encoder) + 1)):
            raise ValueError(f"the encoder has layers 0 to {len(self.encoder)}; got {sorted(wanted)}.")
        h = padded(x, self.modulus)
        found = [h] if 0 in wanted else []
        for i, layer in enumerate(self.encoder[: max(wanted, default=0)], 1):
            h = layer(h)
            found += [h] if i in wanted else []
        return found
