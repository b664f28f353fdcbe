"""From seeds to images: each image is a function of its own seed and class, whatever is drawn beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.latent import Normal

CHUNK = 16
"""Images per forward pass. Always this many: a different batch size can round differently in the last bit."""


def starts(method: Any, seeds: Sequence[int], classes: int, wanted: Sequence[int] | None = None) -> tuple[Tensor, Tensor | None]:
    """z (n, ...) and y (n,) or None, on the CPU, each row from its own seed. `wanted` gives the classes; else the seed draws one."""
    latent = method.latent
    if isinstance(latent, Normal):
        latent = dataclasses.replace(latent, device="cpu")  # the same z for the same seed on every device
    rows, labels = [], []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            rows.append(latent(1).cpu())
            labels.append(torch.randint(max(classes, 1), (1,)))
    if wanted is not None:
        labels = [torch.tensor([w]) for w in wanted]
    return torch.cat(rows), torch.cat(labels) if classes else None


@torch.inference_mode()
def images(generator: nn.Module, z: Tensor, y: Tensor | None) -> Tensor:
    """z (n, ...), y (n,) -> (n, c, h, w) in [-1, 1], fp32 on the CPU. The generator is in eval mode."""
    device = next(generator.parameters()).device
    drawn = []
    for at in range(0, len(z), CHUNK):
        n = len(z[at : at + CHUNK])
        fill = torch.arange(CHUNK) % n  # the last chunk repeats itself up to full size
        labels = y[at : at + CHUNK][fill].to(device) if y is not None else None
        drawn.append(generator(z[at : at + CHUNK][fill].to(device), labels)[:n].float().clamp(-1, 1).cpu())
    return torch.cat(drawn)
