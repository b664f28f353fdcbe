"""Euclidean distances between the rows of two sets, a block at a time, so that 50,000 x 50,000 fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CELLS = 2**24
"""Distances held at a time: 64 MiB."""
NOTHING = 4e-6
"""Squared distances below this part of the squared lengths are 0: twice what rounding makes of two equal rows."""
TIE = 1e-6
"""Squared distances that differ by less than this part of them are equal: so much rounding makes of x to y and y to x."""


def distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of rows (n, d) to (m, d), as (which rows of a, (block, m)), float32.

    |x - y|^2 = |x|^2 + |y|^2 - 2 x . y after both are centred in float64, so that a common offset costs no digits. Copies are at
    distance 0 exactly.
    """
    centre = b.mean(0, dtype=torch.float64)
    b = (b - centre).float()
    length_b = b.square().sum(1)
    step = max(1, CELLS // len(b))
    for begin in range(0, len(a), step):
        part = (a[begin : begin + step] - centre).float()
        lengths = part.square().sum(1, keepdim=True) + length_b
        squared = torch.addmm(lengths, part, b.T, alpha=-2)
        yield slice(begin, begin + len(part)), squared.masked_fill_(squared <= NOTHING * lengths, 0)


def nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(squared distance (n,), index (n,)) of the row of b nearest to each row of a."""
    found = [squared.min(1) for _, squared in distances(a, b)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def reach(x: Tensor, k: int) -> Tensor:
    """Squared distance (n,) of each row (n, d) to its k-th nearest other row; k < n."""
    return torch.cat([squared.kthvalue(k + 1, 1).values for _, squared in distances(x, x)])  # the nearest is the row itself
