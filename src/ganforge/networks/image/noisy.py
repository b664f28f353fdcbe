"""A discriminator that cannot learn a few labels by heart: Gaussian noise on every layer (Salimans et al., 2016, arXiv:1606.03498).

The noise and weight norm (arXiv:1602.07868) are those of the authors' own classifiers, whose sizes the paper leaves to its code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrizations import weight_norm

from . import dcgan


class Noise(nn.Module):
    """x (any shape) plus N(0, std^2) in training; in use, x."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training else x


class Discriminator(dcgan.Discriminator):
    """DCGAN's without norms, with weight norm on its convolutions, and noise on the image and after each of them.

    Its last map is 3 to 5 pixels high, so that 28 pixels are halved three times: with twice, it names digits much worse.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int = 64, classes: int = 0, condition: str = "projection", noise: float = 0.3
    ) -> None:
        super().__init__(shape, width, classes, condition, norm=dcgan.plain, smallest=3)
        self.noise = Noise(noise)
        for down in self.downs:
            weight_norm(down)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.noise(self.grid.pad(self.join(x, y)))
        for down in self.downs:
            h = self.noise(leaky_relu(down(h), 0.2, inplace=True))
        return self.head(h.permute(0, 2, 3, 1).flatten(1), y)
