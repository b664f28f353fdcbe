"""A critic that is shown the fine structure of an image beside the image itself.

What restored photographs lack is faint and fine: beside the image it hardly moves a first layer, and a critic that has few steps to learn
in does not find it. Shown by itself, and made larger, it is found at once (measured, docs/LOG.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

GAIN = 5.0
"""How many times larger than they are the fine differences are shown."""


class Detailed(nn.Module):
    """Image x (n, c, h, w), and `given` or None -> whatever `critic` says of (n, 2c, h, w): x, then what is fine in it."""

    def __init__(self, critic: nn.Module, gain: float = GAIN) -> None:
        super().__init__()
        self.critic, self.gain = critic, gain

    def forward(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        found: tuple[Tensor, list[Tensor]] = self.critic(torch.cat([x, self.gain * fine(x)], 1), given)
        return found


def fine(x: Tensor) -> Tensor:
    """What a pixel differs by from the mean of itself and its neighbours: (n, c, h, w) -> the same; 0 where all are equal."""
    return x - avg_pool2d(x, 3, 1, 1, count_include_pad=False)
