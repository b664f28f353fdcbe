"""Places of feature maps as vectors, and their contrast: what CUT compares in two images (Park et al., 2020, arXiv:2007.15651)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

TEMPERATURE = 0.07
"""Of the contrast (sec. 3)."""


class PatchHeads(nn.Module):
    """Maps [(n, c1, h1, w1), ...] -> unit vectors [(n, p, size), ...] of some of their places, two linear layers a map (CUT, sec. 3).

    channels: c1, c2, ... of the maps. Weights start as in the published code: N(0, 0.02), biases 0.
    Five maps of 3, 128, 256, 256 and 256 channels, size 256: 560,384 parameters.
    """

    def __init__(self, channels: Sequence[int], size: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Sequential(nn.Linear(c, size), nn.ReLU(), nn.Linear(size, size)) for c in channels)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        chosen = [m.flatten(2).index_select(2, at).transpose(1, 2) for m, at in zip(maps, places, strict=True)]
        return [normalize(head(v).float(), dim=2) for head, v in zip(self.heads, chosen, strict=True)]


def places(maps: Sequence[Tensor], most: int) -> list[Tensor]:
    """At most so many different places of each map (n, c, h, w), the same in all n: [(p,), ...], row by row from 0 to h w - 1."""
    found = []
    for m in maps:
        count = m.shape[2] * m.shape[3]
        found.append(torch.randperm(count, device=m.device)[:most] if most < count else torch.arange(count, device=m.device))
    return found


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """How badly each query finds the key of its own place among those of its image: unit vectors (n, p, k), same -> (n,) >= 0.

    Mean over places of the cross-entropy of softmax(q k / temperature) (CUT, Park et al., 2020, arXiv:2007.15651, eq. 2 and 3):
    ln p where nothing is known.
    """
    with torch.autocast(queries.device.type, enabled=False):  # a temperature of 0.07 makes differences 14 times as large
        likeness = queries.float() @ keys.float().transpose(1, 2) / temperature
        own = torch.arange(likeness.shape[1], device=likeness.device).expand(likeness.shape[:2])
        return cross_entropy(likeness.transpose(1, 2), own, reduction="none").mean(1)
