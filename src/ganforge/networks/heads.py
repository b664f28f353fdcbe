"""What else can be done with a discriminator's features: heads that name, guess, encode and compare.

Every discriminator of ours ends in a `head`, called as head(features (n, f), y). Taken off, what is left finds features, and any
method can put its own head on any network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrize import is_parametrized

from ..constraints import spectral_norm
from .conditioning import Projection


class _NoHead(nn.Module):
    """Hands features on: (n, f) -> (n, f)."""

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        return h


def beheaded(discriminator: nn.Module) -> tuple[nn.Module, Projection]:
    """The discriminator without its head, trunk(x, y) -> features (n, f), and the head, score(features, y) -> logits (n,).

    Raises ValueError for a network whose last layer is no `head` of the kind `Projection`.
    """
    score = getattr(discriminator, "head", None)
    if not isinstance(score, Projection):
        raise ValueError(f"{type(discriminator).__name__} must end in self.head = Projection(...), so that other heads can take its place.")
    discriminator.head = _NoHead()
    return discriminator, score


class Branched(nn.Module):
    """A discriminator with a second head on the same features; called, it gives logits: (n, c, h, w), y (n,) -> (n,).

    both(x, y) gives the second head's output, too: (n,), (n, k), whatever the method makes of it. hidden: width of a layer of that
    head's own; 0: none.
    """

    def __init__(self, discriminator: nn.Module, k: int, hidden: int = 0) -> None:
        super().__init__()
        self.trunk, self.score = beheaded(discriminator)
        self.second: nn.Module = nn.Linear(self.score.score.in_features, k)
        if hidden:
            self.second = nn.Sequential(nn.Linear(self.score.score.in_features, hidden), nn.LeakyReLU(0.1), nn.Linear(hidden, k))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.score(self.trunk(x, y), y)

    def both(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (n,), and what the second head says (n, k)."""
        features = self.trunk(x, y)
        return self.score(features, y), self.second(features)


class Encoder(nn.Module):
    """A discriminator's layers that end in a vector: (n, c, h, w), y (n,) -> (n, size), in fp32: codes, or class logits.

    dropout: share of features that are hidden in training before the last layer.
    """

    def __init__(self, discriminator: nn.Module, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk, score = beheaded(discriminator)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(score.score.in_features, size)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.read(self.trunk(x, y))

    def read(self, features: Tensor) -> Tensor:
        """(n, f) -> (n, size)."""
        with torch.autocast(features.device.type, enabled=False):
            return self.last(self.dropout(features.float()))


class Joint(nn.Module):
    """A discriminator of pairs of an example and a latent: x (n, c, h, w), z (n, z), y (n,) -> logits (n,).

    Features of x and z go through two common layers, `hidden` wide (BiGAN, Donahue et al., 2017, arXiv:1605.09782, app. C.1).
    """

    def __init__(self, discriminator: nn.Module, z: int, hidden: int, classes: int = 0) -> None:
        super().__init__()
        self.trunk, score = beheaded(discriminator)
        self.layers = nn.ModuleList([nn.Linear(score.score.in_features + z, hidden), nn.Linear(hidden, hidden)])
        self.head = Projection(hidden, classes)
        if is_parametrized(score.score):  # whoever keeps the trunk's slope below 1 wants it of all
            spectral_norm(self)

    def forward(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.trunk(x, y)
        h = torch.cat([h, z.to(h.dtype)], 1)
        for layer in self.layers:
            h = leaky_relu(layer(h), 0.2)
        return self.head(h, y)


class AutoEncoder(nn.Module):
    """A critic that rebuilds what it sees; its logit is minus the error: (n, c, h, w), y (n,) -> (n,) at most 0.

    power: the mean over pixels of |x - rebuilt|^power: 1 (BEGAN, arXiv:1703.10717, sec. 3.1), 2 (EBGAN, arXiv:1609.03126, sec. 2.3).
    """

    def __init__(self, encoder: Encoder, decoder: nn.Module, power: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.power = encoder, decoder, power

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return -self.error(x, self.encoder(x, y), y)

    def error(self, x: Tensor, code: Tensor, y: Tensor | None = None) -> Tensor:
        """How far the decoded `code` (n, size) is from x: (n,), in fp32."""
        return (x.float() - self.decoder(code, y).float()).abs().pow(self.power).flatten(1).mean(1)
