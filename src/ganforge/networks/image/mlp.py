"""Fully connected networks: the generator and discriminator of the first GANs (Goodfellow et al., 2014, arXiv:1406.2661)."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ..conditioning import WAYS_IN_DISCRIMINATORS, WAYS_IN_GENERATORS, Join, Projection, batch_norm, check_ways
from .pixels import squashed


class Generator(nn.Module):
    """z (n, z), y (n,) -> (n, *shape) in [-1, 1]: three hidden layers, width, 2 width and 4 width wide, batch norm, leaky ReLU, tanh."""

    def __init__(self, shape: tuple[int, ...], z: int, width: int = 256, classes: int = 0, condition: str = "concat") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_GENERATORS, "mlp.Generator")
        self.shape = shape
        self.join = Join(classes if condition == "concat" else 0, z)
        norm = batch_norm(classes if condition == "norm" else 0, flat=True)
        widths = [z + self.join.extra, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(widths, widths[1:], strict=False))
        self.norms = nn.ModuleList(norm(b) for b in widths[1:])
        self.head = nn.Linear(widths[-1], prod(shape))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.join(z, y)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = leaky_relu(norm(layer(h), y), 0.2)
        return squashed(self.head(h)).view(-1, *self.shape)


class Discriminator(nn.Module):
    """x (n, *shape), y (n,) -> logits (n,): three hidden layers, 4 width, 2 width and width wide, leaky ReLU, no norm."""

    def __init__(self, shape: tuple[int, ...], width: int = 256, classes: int = 0, condition: str = "concat") -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "mlp.Discriminator")
        self.join = Join(classes if condition == "concat" else 0, 32)
        widths = [prod(shape) + self.join.extra, 4 * width, 2 * width, width]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.head = Projection(width, classes if condition == "projection" else 0)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.join(x.flatten(1), y)
        for layer in self.layers:
            h = leaky_relu(layer(h), 0.2)
        return self.head(h, y)
