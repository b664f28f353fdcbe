"""A part that is set aside, for images that come without one: never trained on, there to be compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ganforge.data.alike import joined


def held(marks: NDArray[np.uint64], alike: NDArray[np.int64], share: float, y: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which of n images are held out: about `share` of all and of every class.

    marks (n,): a number made of each image's content, evenly spread over 0 to 2^64 - 1; the images with the lowest are taken, whatever
    the others are, so an image that is like no other stays in its part when images are added, removed or renamed. alike (n,): an image
    that each is like, or itself; those that are alike go together. The lowest of k different marks is below 1 - (1 - share)^(1/k) with
    probability `share`, so a large group is as likely to go as a single image, and may move when it grows. y (n,): classes; one that
    would have no image left to learn from keeps all of its.
    """
    group = joined(len(marks), enumerate(alike.tolist()))
    lowest = marks.copy()
    np.minimum.at(lowest, group, marks)
    order = np.lexsort((marks, group))
    known = np.zeros(len(marks), bool)  # the mark stood in its group before
    known[order[1:]] = (np.diff(group[order]) == 0) & (marks[order[1:]] == marks[order[:-1]])
    different = np.bincount(group[~known], minlength=len(marks)).clip(1)
    bound = -np.expm1(np.log1p(-share) / different) * 2.0**64
    out = lowest[group] < bound.astype(np.uint64)[group]
    if y is not None:
        emptied = np.setdiff1d(y, y[~out])
        out &= ~np.isin(group, group[np.isin(y, emptied)])
    return out


def some(marks: NDArray[np.uint64], alike: NDArray[np.int64], share: float, y: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """As `held`, for few images of the kinds y (n,), or of one: at least one group of each kind is held out, and at least one is not.

    Where the draw takes none, the group of the lowest mark goes; where it takes all, that of the highest stays. Of a kind that is a
    single group nothing is held out.
    """
    out = held(marks, alike, share)
    group = joined(len(marks), enumerate(alike.tolist()))
    kinds = [np.arange(len(marks))] if y is None else [np.flatnonzero(y == kind) for kind in np.unique(y)]
    for rows in kinds:
        if out[rows].all():
            out &= group != group[rows[np.argmax(marks[rows])]]
    for rows in kinds:
        taken = out | (group == group[rows[np.argmin(marks[rows])]])
        if share and not out[rows].any() and not any(taken[others].all() for others in kinds):
            out = taken
    return out
