"""Latents that end in a code: noise | one categorical value, one-hot | continuous values in [-1, 1] (InfoGAN, arXiv:1606.03657, sec. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .latent import Normal


@dataclass(frozen=True)
class Coded(Normal):
    """A sampler of [z ~ N(0, I), one-hot c ~ Cat(kinds), u ~ U[-1, 1]^continuous]: n -> (n, size + kinds + continuous)."""

    kinds: int = 10
    continuous: int = 2

    def __call__(self, n: int) -> Tensor:
        kind = torch.randint(self.kinds, (n,), device=self.device)
        dials = torch.rand(n, self.continuous, device=self.device) * 2 - 1
        return torch.cat([super().__call__(n), one_hot(kind, self.kinds), dials], 1)

    def code(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Of latents (n, size + kinds + continuous): the categorical value (n,), and the continuous ones (n, continuous)."""
        return z[:, self.size : self.size + self.kinds].argmax(1), z[:, self.size + self.kinds :]


class Settable(nn.Module):
    """A generator of such latents; y (n,), where given, sets the categorical value: z (n, ...), y (n,) or None -> (n, c, h, w)."""

    def __init__(self, generator: nn.Module, size: int, kinds: int) -> None:
        super().__init__()
        self.generator, self.size, self.kinds = generator, size, kinds

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if y is not None:
            z = torch.cat([z[:, : self.size], one_hot(y, self.kinds).to(z.dtype), z[:, self.size + self.kinds :]], 1)
        return self.generator(z)
