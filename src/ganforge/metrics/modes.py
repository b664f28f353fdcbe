"""How many of the modes of a set whose modes are known a model has found: rings and grids of Gaussians, stacked digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.errors import DataError


class Mixture(NamedTuple):
    """Equally likely round Gaussians: their centres (modes, d) and the standard deviation of each."""

    centres: Tensor
    std: float


RING = Mixture(torch.tensor([[math.cos(math.tau * k / 8), math.sin(math.tau * k / 8)] for k in range(8)]), 0.01)
"""Eight modes on the unit circle (PacGAN, Lin et al., 2018, arXiv:1712.04086, sec. 4.1)."""
GRID = Mixture(torch.tensor([[2.0 * i, 2.0 * j] for i in range(-2, 3) for j in range(-2, 3)]), 0.05)
"""Twenty-five modes at {-4, -2, 0, 2, 4}^2 (PacGAN, Lin et al., 2018, arXiv:1712.04086, sec. 4.1)."""


def count_modes(samples: Tensor, mixture: Mixture) -> dict[str, float]:
    """{"modes": covered, "good": share, "kl": nats, "spread": ratio} of samples (n, d) against a mixture whose modes are known.

    A sample is good within 3 standard deviations of its nearest mode; a mode is covered if it has a good sample (PacGAN, Lin et
    al., 2018, arXiv:1712.04086, sec. 4.1). kl: from the good samples' distribution over modes to the uniform one, 0 to log(modes).
    spread: standard deviation of good samples about their modes over the true one, NaN without good samples.
    Perfect models in two dimensions have 1 - exp(-4.5) = 98.9 % good samples: 100 % with a spread below 1 is collapse
    inside the modes. Few samples miss modes and lift kl, by about (modes - 1) / (2 n): papers judge 2,500.
    Raises DataError for samples of another dimension, none, or NaN.
    """
    centres, std = mixture.centres.to(samples), mixture.std
    if samples.ndim != 2 or samples.shape[1] != centres.shape[1] or not len(samples):
        raise DataError(f"counting modes needs points (n, {centres.shape[1]}), n at least 1; got shape {tuple(samples.shape)}.")
    if not samples.isfinite().all():
        raise DataError("counting modes: the samples hold NaN or infinity; the generator has diverged.")
    distance, nearest = torch.cdist(samples, centres).min(1)
    good = distance <= 3 * std
    counts = torch.bincount(nearest[good], minlength=len(centres))
    spread = (samples - centres[nearest])[good].std().item() / std if good.any() else math.nan
    uniform = torch.full((len(centres),), 1 / len(centres), dtype=torch.float64)
    return {"modes": int((counts > 0).sum()), "good": float(good.float().mean()), "kl": divergence(counts, uniform), "spread": spread}


def stacked_modes(images: Tensor, classifier: Callable[[Tensor], Tensor], truth: Tensor | None = None) -> dict[str, float]:
    """{"modes": covered, "kl": nats} of images (n, 3, h, w), three digits stacked as colours: up to 1,000 modes.

    `classifier` maps one channel (n, 1, h, w) to logits (n, 10); its three answers name the mode 100 r + 10 g + b. A mode is covered
    if an image falls on it; kl is from the images' distribution over modes to `truth` (1000,), the data's shares, uniform if None,
    in natural logarithms (Metz et al., 2017, arXiv:1611.02163, sec. 3.3.1; PacGAN, arXiv:1712.04086, sec. 4.2).
    Papers judge 26,000 images; fewer miss modes and lift kl by about 999 / (2 n), 0.02 at 26,000 for a perfect model, and the
    classifier's errors invent modes, so say its accuracy. Raises DataError for images without three channels, and classes other than 10.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise DataError(f"stacked digits are images (n, 3, h, w), n at least 1; got shape {tuple(images.shape)}.")
    with torch.no_grad():
        answers = [classifier(part.flatten(0, 1)[:, None]) for part in images.split(500)]
    if answers[0].shape[1:] != (10,):
        raise DataError(f"the classifier of stacked digits must give 10 logits an image; got shape {tuple(answers[0].shape)}.")
    digits = torch.cat(answers).argmax(1).reshape(-1, 3)
    counts = torch.bincount((digits * torch.tensor([100, 10, 1], device=digits.device)).sum(1), minlength=1000)
    truth = torch.full((1000,), 1e-3, dtype=torch.float64) if truth is None else truth
    return {"modes": int((counts > 0).sum()), "kl": divergence(counts, truth)}


def classes_reached(logits: Tensor, truth: Tensor) -> dict[str, float]:
    """{"modes": share, "kl": nats} of what a classifier takes images for, logits (n, k), against the classes' shares in the data (k,).

    modes: share of the data's classes that at least one image is taken for, 0 to 1; kl: from the images' distribution over classes to
    that of the data, 0 for a perfect model and classifier (Metz et al., 2017, arXiv:1611.02163, sec. 3.3.1, with any classes in place of
    stacked digits). The classifier's errors count, so show real images beside it; few samples lift kl by about (k - 1) / (2 n).
    Raises DataError for no images, or for another number of classes.
    """
    if logits.ndim != 2 or not len(logits) or logits.shape[1] != len(truth):
        raise DataError(f"counting classes needs logits (n, {len(truth)}), n at least 1; got shape {tuple(logits.shape)}.")
    counts = torch.bincount(logits.argmax(1).cpu(), minlength=len(truth))
    there = truth.cpu() > 0
    return {"modes": float((counts[there] > 0).double().mean()), "kl": divergence(counts, truth)}


def divergence(counts: Tensor, truth: Tensor) -> float:
    """KL(counts / their sum || truth) in nats of counts (modes,) and probabilities (modes,); 0 log 0 = 0, and 0 without counts.

    Infinite where there are counts at a mode that the truth excludes.
    """
    share = counts.double().cpu() / max(counts.sum().item(), 1)
    return float((torch.special.xlogy(share, share) - torch.special.xlogy(share, truth.double().cpu())).sum())
