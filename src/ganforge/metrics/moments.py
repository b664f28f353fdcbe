"""Mean and covariance of features, in float64, of sets that may come in parts and never fit into memory at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.errors import DataError

PART = 8192
"""Rows that are held in float64 at a time."""


class Moments:
    """Mean (d,) and unbiased covariance (d, d) of rows (n, d) given in any number of parts: the order and the cut do not matter.

        moments = Moments()
        for images in batches:
            moments.add(network(images))

    Each part is centred on its own mean before it is squared, and parts are merged by the exact rule of Chan, Golub and
    LeVeque (1983, "Algorithms for computing the sample variance", eq. 2.1), so large means cost no digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.scatter = torch.zeros((), dtype=torch.float64)
        """Sum over rows of (x - mean)(x - mean)^T: (d, d) from the first part on."""

    def add(self, rows: Tensor) -> Moments:
        """Take rows (n, d) in; returns itself. Raises DataError for rows that are not (n, d) of the d of before, or not finite."""
        if rows.ndim != 2 or self.count and rows.shape[1] != len(self.mean):
            wanted = f"(n, {len(self.mean)})" if self.count else "(n, d)"
            raise DataError(f"moments need rows of features {wanted}; got shape {tuple(rows.shape)}.")
        for part in rows.detach().split(PART):
            part = (part.cpu() if part.device.type == "mps" else part).double()
            if not part.isfinite().all():
                raise DataError("features hold NaN or infinity; look at the images and at the precision of the network that made them.")
            self._merge(len(part), part.mean(0), gram(part - part.mean(0)))
        return self

    def merge(self, other: Moments) -> Moments:
        """Take in what another has seen, as if its rows had come here; returns itself."""
        self._merge(other.count, other.mean, other.scatter)
        return self

    def _merge(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if not count:
            return
        total = self.count + count
        apart = mean - self.mean
        self.scatter = self.scatter + scatter
        if self.count:
            self.scatter += apart.outer(apart) * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    @property
    def cov(self) -> Tensor:
        """(d, d), divided by n - 1 as in every FID. Raises DataError for fewer than two rows."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least two samples; got {self.count}.")
        return self.scatter / (self.count - 1)


def gram(x: Tensor, blocks: int = 4) -> Tensor:
    """x^T x (d, d) of x (n, d): only blocks on and above the diagonal are multiplied, 5/8 of the work."""
    d = x.shape[1]
    out = x.new_empty(d, d)
    edges = [d * i // blocks for i in range(blocks + 1)]
    for begin, end in zip(edges, edges[1:], strict=False):
        out[begin:end, begin:] = x[:, begin:end].T @ x[:, begin:]
        out[end:, begin:end] = out[begin:end, end:].T
    return out
