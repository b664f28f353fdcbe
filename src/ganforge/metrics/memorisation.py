"""Does a model repeat its training images? Distances to the nearest one, for samples and for images that it has never seen."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.errors import DataError
from .neighbours import distances, nearest
from .rows import check

CLOSE = 0.01
"""Share of unseen images that are called close to the training set: the rate of a model that copies nothing."""
SAME = 0.01
"""Two images are one if their distance is at most this part of the median distance of two training images taken at random."""


class Memorisation(NamedTuple):
    """What `memorisation` found: n fakes, and pairs for a picture with the closest first."""

    rate: float
    """Share of fakes that are closer to a training image than 99 % of unseen images are: 0.01 if nothing is copied, 1 if all is."""
    ratio: float
    """Median distance of fakes to training images over that of unseen images: about 1 or more if nothing is copied, 0 if all is."""
    z: float
    """Mann-Whitney's statistic of both sets of distances, N(0, 1) if they are alike: below -3 is copying, above 3 underfitting."""
    copies: int
    """Fakes that are the same picture as a training image, as two training images are that count as duplicates."""
    duplicates: int
    """Training images that repeat an earlier one; they are left out."""
    leaked: int
    """Held-out images that are training images too; they are left out. 0 without a held-out set."""
    fakes: Tensor
    """(n,) indices of fakes, the one closest to a training image first."""
    neighbours: Tensor
    """(n,) index of the training image nearest to each of `fakes`."""
    distances: Tensor
    """(n,) the distances of these pairs, rising."""


def memorisation(fake: Tensor, train: Tensor, held_out: Tensor | None = None, mirrored: Tensor | None = None) -> Memorisation:
    """Compares distances fake -> nearest training row with distances unseen -> nearest training row: rows (n, d), (t, d), (u, d).

    Rows are features, or pixels of (n, c, h, w).flatten(1) for exact copies; to catch mirrored copies give the rows `mirrored` (t, d) of
    the mirrored training images: what is nearer counts, but no training image's own mirror image. Duplicates inside the training set are
    found first and left out, as are held-out rows that are in the training set: else a common picture reads as a copy, or hides copies.
    Without a held-out set, each training row's distance to its nearest other one stands in for the unseen.

    z is the test of Meehan, Chaudhuri & Dasgupta (2020, arXiv:2004.05675, sec. 3, in one cell): the Mann-Whitney U of both sets of
    distances, standardised. Its power grows with the numbers: it takes about 100 fakes and 100 unseen rows to see anything but plain
    copying, and with fewer than 100 unseen rows `rate` counts what is closer than all of them.
    Raises DataError for fewer than two rows a side, different d, NaN, or rows that are all identical, also once duplicates are out.
    """
    given = [rows for rows in (held_out, mirrored) if rows is not None]
    sets = check("the check for memorisation", fake, train, *given, hint="Draw more samples.")
    fake, train = sets[0], sets[1]
    turned = None if mirrored is None else sets[-1]
    alone, repeats, limit = _without_duplicates(train, turned)
    kept = repeats.logical_not().nonzero().squeeze(1)
    known = train[kept] if turned is None else torch.cat([train[kept], turned[kept]])
    leaked = 0
    if held_out is None:
        unseen = alone[kept]
    else:
        unseen = nearest(sets[2], known)[0].sqrt()
        leaked = int((unseen <= limit).sum())
        unseen = unseen[unseen > limit]
    if len(unseen) < 2:
        whose = "training images that differ" if held_out is None else "held-out images that are not training images too"
        raise DataError(f"the check for memorisation needs at least two {whose}; got {len(unseen)}. Give others, or more.")
    squared, index = nearest(fake, known)
    apart, order = squared.sqrt().sort()
    close = unseen.kthvalue(max(1, math.floor(CLOSE * len(unseen)))).values
    return Memorisation(
        rate=float((apart < close).double().mean()),
        ratio=float(apart.median() / unseen.median()),
        z=_mann_whitney(apart, unseen),
        copies=int((apart <= limit).sum()),
        duplicates=int(repeats.sum()),
        leaked=leaked,
        fakes=order,
        neighbours=kept[index[order] % len(kept)],
        distances=apart,
    )


def _without_duplicates(train: Tensor, mirrored: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of rows (t, d): distance (t,) to the nearest other row, `mirrored` or not, that is not the same picture, whether it repeats an
    earlier row (t,), and the distance up to which two are the same picture."""
    rows = torch.arange(len(train), device=train.device)
    other = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).to(train.device)
    limit = SAME * (train - train[other]).norm(dim=1).median().float()
    alone, repeats = [], []
    for part, squared in distances(train, train):
        same = squared <= limit.square()
        repeats.append((same & (rows < rows[part, None])).any(1))
        alone.append(squared.masked_fill(same, math.inf).min(1).values.sqrt())
    found = torch.cat(alone)
    if mirrored is not None:
        for part, squared in distances(train, mirrored):
            own = rows == rows[part, None]
            apart = squared.masked_fill(own | (squared <= limit.square()), math.inf).min(1).values.sqrt()
            found[part] = torch.minimum(found[part], apart)
    return found, torch.cat(repeats), limit


def _mann_whitney(a: Tensor, b: Tensor) -> float:
    """(U - n m / 2) / sqrt(n m (n + m + 1) / 12), U the number of pairs with a above b, ties half."""
    n, m = len(a), len(b)
    b = b.sort().values
    above = torch.searchsorted(b, a) + torch.searchsorted(b, a, right=True)
    return float((above.double().sum() / 2 - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12))
