"""Exponential moving averages of the exported networks: what users see, save and ship."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .method import Progress

DIRECTIONS = ("._u", "._v")
"""Unit vectors of torch's spectral norm. The mean of such vectors is shorter than one, and weights divided by it would be too large."""


class Average:
    """Averaged copies of networks. The half-life is a fraction of the examples seen so far.

    A fixed half-life is too long at the start of a run and too short at its end; 5 % of what has been
    seen follows the ramp of StyleGAN2-ADA (arXiv:2006.06676) and needs no knowledge of the budget.
    """

    def __init__(self, exports: Mapping[str, nn.Module], half_life: float) -> None:
        self.half_life = half_life
        self.networks = {key: copy.deepcopy(net).eval().requires_grad_(False) for key, net in exports.items()}
        self._means: list[Tensor] = []
        self._values: list[Tensor] = []
        self._counts: list[tuple[Tensor, Tensor]] = []
        for key, net in exports.items():
            for (name, mean), value in zip(self.networks[key].state_dict().items(), net.state_dict().values(), strict=True):
                if mean.is_floating_point() and not name.endswith(DIRECTIONS):
                    self._means.append(mean)
                    self._values.append(value)
                else:
                    self._counts.append((mean, value))

    @torch.no_grad()
    def update(self, now: Progress, examples: int) -> None:
        """Move the averages towards the networks as they stand after `examples` more examples."""
        decay = 0.5 ** (examples / (self.half_life * now.seen)) if now.seen and self.half_life else 0.0
        torch._foreach_lerp_(self._means, self._values, 1 - decay)
        for mean, value in self._counts:
            mean.copy_(value)
