"""The Inception Score: are samples each of a clear class, and together of all classes (Salimans et al., 2016, arXiv:1606.03498, sec. 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError


def inception_score(logits_or_probs: Tensor, splits: int = 10, *, seed: int = 0) -> tuple[float, float]:
    """(mean, standard deviation) over splits of exp(mean over x of KL(p(y|x) || p(y))): logits or probabilities (n, k) -> 1 to k.

    p(y) is the mean of p(y|x) over the split (Salimans et al., 2016, arXiv:1606.03498, sec. 4). Higher is better; it looks at no
    real image. It is IS on the 1,008 logits (without their bias) of the 2015 Inception network, IS-<classifier> on others.
    A split of few samples caps the score at their number and reads low: papers use 10 splits of 5,000; compare only equal ones.

    Rows that are not negative and sum to 1 are taken for probabilities, others for logits. Rows are shuffled first, as
    torch-fidelity does with `rng_seed=seed`, since samples often come sorted by class. Raises DataError for fewer
    than two rows a split, a single class, NaN.
    """
    if logits_or_probs.ndim != 2 or logits_or_probs.shape[1] < 2:
        raise DataError(f"the Inception Score needs logits or probabilities (n, classes); got shape {tuple(logits_or_probs.shape)}.")
    n = len(logits_or_probs)
    if splits < 1 or n < 2 * splits:
        raise DataError(
            f"the Inception Score needs at least two samples a split; got {n} samples for {splits} splits. "
            "Draw more samples, or use the kernel distance (KID), which is unbiased at any size."
        )
    rows = logits_or_probs.detach().cpu().double()
    if not rows.isfinite().all():
        raise DataError("the Inception Score: the logits hold NaN or infinity; look at the images and at the network's precision.")
    rows = rows[torch.from_numpy(np.random.RandomState(seed).permutation(n))]
    is_probability = bool((rows >= 0).all()) and bool((rows.sum(1) - 1).abs().max() < 1e-4)
    p = rows if is_probability else rows.softmax(1)
    scores = [_score(p[n * i // splits : n * (i + 1) // splits]) for i in range(splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(p: Tensor) -> float:
    """exp of the mutual information of sample and class: entropy of the mean minus mean of the entropies; 0 log 0 = 0."""
    return float((torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()).exp())
