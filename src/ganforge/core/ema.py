"""Exponential moving averages of the exported networks: what users see, save and ship."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

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
        self._means: dict[str, tuple[list[Tensor], list[Tensor]]] = {key: ([], []) for key in exports}
        self._counts: dict[str, list[tuple[Tensor, Tensor]]] = {key: [] for key in exports}
        for key, net in exports.items():
            for (name, mean), value in zip(self.networks[key].state_dict().items(), net.state_dict().values(), strict=True):
                if mean.is_floating_point() and not name.endswith(DIRECTIONS):
                    for tensors, tensor in zip(self._means[key], (mean, value), strict=True):
                        tensors.append(tensor)
                else:
                    self._counts[key].append((mean, value))

    @torch.no_grad()
    def update(self, now: Progress, examples: int, resting: Collection[str] = (), since: float = 0.0) -> None:
        """Move the averages towards the networks as they stand after `examples` more examples; those of `resting` stay.

        since: fraction of the budget at which they began anew. What was seen before it does not lengthen the half-life.
        """
        seen = now.seen - since * now.total
        decay = 0.5 ** (examples / (self.half_life * seen)) if seen > 0 and self.half_life else 0.0
        for key in (key for key in self.networks if key not in resting):
            torch._foreach_lerp_(*self._means[key], 1 - decay)
            for mean, value in self._counts[key]:
                mean.copy_(value)
