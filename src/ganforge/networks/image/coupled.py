"""One pair of networks for several domains, tied but for the layer next to the pixels (CoGAN, Liu & Tuzel, 2016, arXiv:1606.07536).

A last layer for each domain is one last layer with a block of channels for each, of which y picks one; a first layer for each
is one that sees its domain's block of channels and zeros in the others. So any pair of networks can be coupled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..conditioning import check_ways

if TYPE_CHECKING:
    from . import Networks


class Generator(nn.Module):
    """z (n, z), domain y (n,) -> image (n, c, h, w) in [-1, 1]. One z gives corresponding images of all domains."""

    def __init__(
        self, networks: Networks, shape: tuple[int, int, int], z: int, width: int, classes: int = 2, condition: str = "tied"
    ) -> None:
        super().__init__()
        check_ways(condition, ("tied",), "coupled.Generator")
        self.domains, self.shape = classes, tuple(shape)
        self.network = networks.generator((classes * shape[0], *shape[1:]), z, width)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        each = self.network(z).view(len(z), self.domains, *self.shape)
        return each[torch.arange(len(z), device=z.device), y]


class Discriminator(nn.Module):
    """Image (n, c, h, w), domain y (n,) -> logits (n,)."""

    def __init__(self, networks: Networks, shape: tuple[int, int, int], width: int, classes: int = 2, condition: str = "tied") -> None:
        super().__init__()
        check_ways(condition, ("tied",), "coupled.Discriminator")
        self.domains = classes
        self.network = networks.discriminator((classes * shape[0], *shape[1:]), width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        own = nn.functional.one_hot(y, self.domains).to(x.dtype)
        blocks = own[:, :, None, None, None] * x[:, None]
        return self.network(blocks.flatten(1, 2))
