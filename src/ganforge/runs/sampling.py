"""From seeds to images: each image is a function of its own seed and class, whatever is drawn beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import UsageError
from ..networks.latent import Normal

CHUNK = 16
"""Images per forward pass. Always this many: a different batch size can round differently in the last bit."""


def starts(
    method: Any, seeds: Sequence[int], classes: int, wanted: Sequence[int] | None = None, most: float = math.inf
) -> tuple[Tensor, Tensor | None]:
    """z (n, ...) and y (n,) or None, on the CPU, each row from its own seed. `wanted` gives the classes; else the seed draws one.

    most: noise beyond it is drawn anew. Raises UsageError for latents that this cannot be done to.
    """
    latent = method.latent
    if isinstance(latent, Normal):
        latent = dataclasses.replace(latent, device="cpu")  # the same z for the same seed on every device
    elif most < math.inf:
        raise UsageError("this model starts from latents of its own kind, which cannot be truncated.")
    rows, labels = [], []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            z = latent(1).cpu()
            labels.append(torch.randint(max(classes, 1), (1,)))  # before z is drawn anew: a seed keeps its class
            rows.append(latent.truncated(z, most) if most < math.inf else z)
    if wanted is not None:
        labels = [torch.tensor([w]) for w in wanted]
    return torch.cat(rows), torch.cat(labels) if classes else None


def truncation_of(generator: nn.Module, truncation: float | None) -> tuple[float, tuple[float, ...]]:
    """What --truncation means to this generator: the largest noise, for `starts`, and what it is told itself, for `images`.

    Where there are styles, they are drawn towards their mean, 0 being the mean and 1 as they are (StyleGAN, arXiv:1812.04948, app. B);
    else noise beyond it is drawn anew (BigGAN, arXiv:1809.11096, sec. 3.1). Raises UsageError for a number that makes no sense.
    """
    if truncation is None:
        return math.inf, ()
    if hasattr(generator, "styles"):
        if not 0 <= truncation <= 1:
            raise UsageError(f"--truncation must be from 0, the mean style, to 1, all styles as they are; got {truncation:g}. Usual: 0.7.")
        return math.inf, (truncation,)
    if not 0 < truncation < math.inf:
        raise UsageError(f"--truncation must be positive: the largest number of a latent vector, whose spread is 1; got {truncation:g}.")
    return truncation, ()


def images(generator: nn.Module, z: Tensor, y: Tensor | None, *told: float) -> Tensor:
    """z (n, ...), y (n,) -> (n, c, h, w) in [-1, 1], fp32 on the CPU. The generator is in eval mode. told: see `truncation_of`."""
    return in_chunks(generator, z, y, *told).clamp(-1, 1)


@torch.inference_mode()
def in_chunks(network: nn.Module, x: Tensor, y: Tensor | None, *told: float) -> Tensor:
    """network(x (n, ...), y (n,), *told) -> (n, ...), fp32 on the CPU, CHUNK examples at a time. The network is in eval mode."""
    device = next(network.parameters()).device
    found = []
    for at in range(0, len(x), CHUNK):
        n = len(x[at : at + CHUNK])
        fill = torch.arange(CHUNK) % n  # the last chunk repeats itself up to full size
        labels = y[at : at + CHUNK][fill].to(device) if y is not None else None
        found.append(network(x[at : at + CHUNK][fill].to(device), labels, *told)[:n].float().cpu())
    return torch.cat(found)
