"""The Frechet distance class by class, as in intra-FID (Miyato & Koyama, 2018, arXiv:1802.05637, sec. 4.1)."""

from __future__ import annotations

from torch import Tensor

from ..core.errors import DataError
from .frechet import frechet_distance


def intra_frechet(a: Tensor, labels_a: Tensor, b: Tensor, labels_b: Tensor) -> dict[int, float]:
    """{class: `frechet_distance` of the rows of that class}: features (n, d), labels (n,), features (m, d), labels (m,), in order of class.

    A model that ignores its labels, or draws one picture per class, has a fair overall distance and bad ones here (Miyato & Koyama,
    2018, arXiv:1802.05637, sec. 4.1; papers print the mean over classes). Classes are small sets: the floor of the Frechet
    distance, which falls as 1/n, is high, so show real-against-real beside it at the same numbers. Raises DataError for
    classes that one side lacks or has once only, and what `frechet_distance` raises.
    """
    for rows, labels in ((a, labels_a), (b, labels_b)):
        if labels.shape != (len(rows),):
            raise DataError(f"per-class distances need one label a row, ({len(rows)},); got labels of shape {tuple(labels.shape)}.")
    counts = [dict(zip(*(t.tolist() for t in labels.unique(return_counts=True)), strict=True)) for labels in (labels_a, labels_b)]
    classes = sorted({*counts[0], *counts[1]})
    scarce = [kind for kind in classes if min(count.get(kind, 0) for count in counts) < 2]
    if scarce:
        raise DataError(
            f"per-class distances need at least two samples of every class on both sides; class {scarce[0]} has "
            f"{counts[0].get(scarce[0], 0)} and {counts[1].get(scarce[0], 0)} ({len(scarce)} of {len(classes)} classes fall short). "
            "Draw more samples, or compare without classes."
        )
    return {int(kind): frechet_distance(a[labels_a == kind], b[labels_b == kind]) for kind in classes}
