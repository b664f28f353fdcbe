"""What every measure of two feature sets asks of them, and the messages where they fall short."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.errors import DataError

USE_KID = "The kernel distance (KID) is unbiased at any size from two samples a side on: use that, or draw more samples."


def sound(rows: Tensor, who: str, whose: str) -> Tensor:
    """Feature rows (n, d) as they came. Raises DataError where they hold NaN or infinity, or are all the same: no distance means
    anything then. `who` complains, of `whose`: "rows of set 2", "images of photos/"."""
    bad = ~rows.isfinite().all(1)
    if bad.any():
        raise DataError(
            f"{who}: {int(bad.sum()):,} of {len(rows):,} {whose} hold NaN or infinity, the first is number {int(bad.nonzero()[0])}, "
            "counted from 0. Look at those images, and at the precision of the network that made the features."
        )
    if len(rows) > 1 and bool((rows == rows[0]).all()):
        raise DataError(
            f"{who}: all {len(rows):,} {whose} are identical: one image again and again (a collapsed generator: take an earlier model), "
            "or a network that cannot tell them apart. A distance to them means nothing."
        )
    return rows


def check(metric: str, *sets: Tensor, least: int = 2, hint: str = USE_KID) -> Sequence[Tensor]:
    """The sets (n, d), (m, d), ... in float64 if they are so, else in float32; without gradients, on a device that has float64.

    Raises DataError, naming the metric, for sets that are not rows, differ in d, hold fewer than `least` rows (with the
    hint on what to do instead), hold NaN or infinity, or consist of one row again and again.
    """
    if any(rows.ndim != 2 for rows in sets):
        raise DataError(f"{metric} needs rows of features (n, d); got shapes {', '.join(str(tuple(rows.shape)) for rows in sets)}.")
    if len({rows.shape[1] for rows in sets}) > 1:
        dimensions = " and ".join(str(rows.shape[1]) for rows in sets)
        raise DataError(f"{metric} needs features of the same network on both sides; got {dimensions} dimensions.")
    if min(len(rows) for rows in sets) < least:
        sizes = " and ".join(str(len(rows)) for rows in sets)
        raise DataError(f"{metric} needs at least {least} samples a side; got {sizes}. {hint}")
    for number, rows in enumerate(sets, 1):
        sound(rows, metric, f"rows of set {number}")
    here = [rows.detach().cpu() if rows.device.type == "mps" else rows.detach() for rows in sets]
    return [rows if rows.dtype == torch.float64 else rows.float() for rows in here]
