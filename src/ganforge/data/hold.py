"""A part that is set aside, for images that come without one: never trained on, there to be compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ganforge.data.alike import joined


def held(marks: NDArray[np.uint64], alike: NDArray[np.int64], share: float, y: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which of n images are held out: about `share` of all and of every class.

    marks (n,): a number made of each image's content, evenly spread over 0 to 2^64 - 1; the images with the lowest are taken, whatever
    the others are, so none moves to the other part when images are added, removed or renamed. alike (n,): an image that each is like,
    or itself; those that are alike go together. y (n,): classes; one that would have no image left to learn from keeps all of its.
    """
    group = joined(len(marks), enumerate(alike.tolist()))
    lowest = marks.copy()
    np.minimum.at(lowest, group, marks)
    out = lowest[group] < np.uint64(share * 2**64)
    if y is not None:
        emptied = np.setdiff1d(y, y[~out])
        out &= ~np.isin(group, group[np.isin(y, emptied)])
    return out
