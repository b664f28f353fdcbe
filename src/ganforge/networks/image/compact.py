"""A plain chain of 3x3 convolutions at the resolution of the input, enlarged by its last layer alone: fast everywhere.

The compact network of Real-ESRGAN (Wang et al., 2021, arXiv:2107.10833; as released for animation and general scenes), by whose
names its weights are kept, so that those weights fit (community.py).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from .start import after_slope, fan_in, zeros
from .translator import Translator, check_scale, conv, reach, unfold

SLOPE = 0.25
"""Of the parametric ReLUs below zero, at the start (arXiv:1502.01852, sec. 2.1)."""


class Compact(Translator):
    """x (n, inputs, h, w) -> (n, outputs, h * scale, w * scale), any h and w; zeros at the start, or with `base` the enlarged input.

    A convolution to `width` channels, `blocks` more, each followed by a parametric ReLU, one to the pixels of the output, pixel shuffle.
    base: add the input, every pixel repeated, as the released networks do. Raises ValueError for a scale other than 1, 2, 3 or 4, and
    where `base` and the channels in and out differ. Width 64, 16 blocks, scale 4: 621,424 parameters.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 24, blocks: int = 8, scale: int = 1, *, base: bool = False) -> None:
        super().__init__()
        if base and inputs != outputs:
            raise ValueError(f"the input can only be added to as many channels as it has, {inputs}; got {outputs} outputs.")
        self.inputs, self.scale, self.base = inputs, check_scale(scale, "Compact"), base
        layers: list[nn.Module] = [fan_in(nn.Conv2d(inputs, width, 3, padding=1)), nn.PReLU(width, SLOPE)]
        for _ in range(blocks):
            layers += [fan_in(nn.Conv2d(width, width, 3, padding=1), after_slope(SLOPE)), nn.PReLU(width, SLOPE)]
        layers.append(zeros(nn.Conv2d(width, outputs * scale**2, 3, padding=1)))
        self.body = nn.Sequential(*layers)
        self.reach = reach([conv(3, blocks + 2), unfold(scale)], scale)

    def forward(self, x: Tensor) -> Tensor:
        drawn = pixel_shuffle(self.body(x), self.scale)
        return drawn + interpolate(x, scale_factor=self.scale, mode="nearest") if self.base else drawn
