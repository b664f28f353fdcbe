"""Improved precision and recall (Kynkaanniemi et al., 2019, arXiv:1904.06991): are samples good, and are all data covered?"""

from __future__ import annotations

import torch
from torch import Tensor

from .neighbours import TIE, distances, reach
from .rows import check


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """(precision, recall) of features (n, d) and (m, d), each from 0 to 1, higher is better.

    Precision: share of fakes inside some ball around a real row that reaches its k-th nearest real row. Recall: share of
    reals inside some such ball around a fake (Kynkaanniemi et al., 2019, arXiv:1904.06991, eq. 1-2; balls are closed). Papers use
    VGG16 features with k = 3, or Inception features: numbers of different features do not compare.
    Both depend on the sizes, as balls shrink where rows are many: compare only at equal n and m (the paper uses 50,000 a
    side). One outlier with a wide ball lifts them; `density_coverage` mends that. Raises DataError for fewer than k + 1 rows a
    side, different d, NaN, or rows that are all identical.
    """
    real, fake = check("precision and recall", real, fake, least=k + 1)
    around_real, around_fake = reach(real, k) * (1 + TIE), reach(fake, k) * (1 + TIE)
    good, covered = [], torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for part, squared in distances(fake, real):
        good.append((squared <= around_real).any(1))
        covered |= (squared <= around_fake[part, None]).any(0)
    return float(torch.cat(good).double().mean()), float(covered.double().mean())
