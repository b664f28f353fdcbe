"""A pair of networks of one's own: python examples/own_network.py photos/

The same from the command line: gan train photos/ --networks examples/own_network.py:deep
"""

from __future__ import annotations

import sys
from math import prod

from torch import Tensor, nn

import ganforge
from ganforge.networks.conditioning import Join, Projection
from ganforge.networks.image import Networks


def layers(start: int, width: int, depth: int) -> nn.Sequential:
    """(n, start) -> (n, width) through `depth` linear layers with layer norm and GELU."""
    sizes = [start, *[width] * depth]
    blocks = [nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.GELU()) for a, b in zip(sizes, sizes[1:], strict=False)]
    return nn.Sequential(*blocks)


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w) in [-1, 1]."""

    def __init__(self, shape: tuple[int, int, int], z: int, width: int = 256, classes: int = 0, condition: str = "concat") -> None:
        super().__init__()
        self.join = Join(classes, z)
        self.body = nn.Sequential(layers(z + self.join.extra, width, 4), nn.Linear(width, prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(self.join(z, y))


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,)."""

    def __init__(self, shape: tuple[int, int, int], width: int = 256, classes: int = 0, condition: str = "projection") -> None:
        super().__init__()
        self.body, self.head = layers(prod(shape), width, 4), Projection(width, classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.body(x.flatten(1)), y)


deep = Networks(Generator, Discriminator)


def main(data: str = "digits", **options) -> ganforge.Model:
    """Train the networks above with the losses and penalties of the default recipe."""
    run = ganforge.train(data, **{"minutes": 5, "width": 256, "networks": f"{__file__}:deep", **options})
    return ganforge.load(run.folder, code=[__file__])


if __name__ == "__main__":
    main(*sys.argv[1:2]).generate(seeds=[0])[0].save("own_network.png")
