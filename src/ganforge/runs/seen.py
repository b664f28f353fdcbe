"""Features of all images of a side: the rows as far as memory should go, and of larger sides the moments of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.imageset import ImageSet
from ..data.source import cache_folder
from ..metrics import sets
from ..metrics.features import Features, cached, extract
from ..metrics.features.cache import place
from ..metrics.moments import Moments
from .bar import Bar
from .sides import CHUNK, Side

ROWS = 2**29
"""Bytes of feature rows that are held of one side: 65,536 images of 2,048 features. Of more, rows are drawn at random."""


class Seen(NamedTuple):
    """What was seen of a side."""

    rows: Tensor
    """(k, f) float32: those of `examples`."""
    examples: Tensor
    """(k,) int64: which images the rows belong to."""
    whole: Moments | None = None
    """Of all images, where `rows` are not all of them."""

    @property
    def moments(self) -> Moments:
        return self.whole or Moments().add(self.rows)

    @property
    def size(self) -> int:
        """Images that the moments are of."""
        return self.whole.count if self.whole else len(self.rows)

    def at(self, which: Tensor) -> Seen:
        """Those rows alone: their numbers, or (k,) bool."""
        return Seen(self.rows[which], self.examples[which])

    def some(self, count: int, seed: int) -> Seen:
        """`count` rows at random, or all of them where there are no more."""
        return self if self.size <= count else self.at(sets.shuffled(len(self.rows), seed)[:count])


def most(eyes: Features) -> int:
    """Images whose rows are held."""
    return max(2, ROWS // (4 * max(eyes.dim, 1)))


def of_set(eyes: Features, images: ImageSet, whose: str) -> Seen:
    """The features of a set, which stay in the cache."""
    with Bar(f"{eyes.name} features of {whose}", len(images)) as progress:
        found = cached(eyes, images, cache_folder(), keep=_keep(eyes, images), progress=progress)
    rows = sets.check_rows(found.rows, whose, eyes.name)
    return Seen(rows, found.examples, found.moments if len(rows) < len(images) else None)


def to_do(eyes: Features, images: ImageSet) -> int:
    """Of how many images of a set the features are not in the cache: all or none."""
    return 0 if place(eyes, images, cache_folder(), keep=_keep(eyes, images)).is_file() else len(images)


def _keep(eyes: Features, images: ImageSet) -> int:
    return min(len(images), most(eyes))


def of_side(eyes: Sequence[Features], side: Side, seed: int = 0) -> list[Seen]:
    """The same of each of the features, of images that are drawn or read a few hundred at a time."""
    kept = [_kept(side.count, most(one), seed) for one in eyes]
    held: list[Tensor] = []
    moments = [Moments() if len(some) < side.count else None for some in kept]
    with torch.inference_mode(), Bar(f"{eyes[0].name} features of {side.name}", side.count) as progress:
        for at in range(0, side.count, CHUNK):
            which = range(at, min(at + CHUNK, side.count))
            pixels = side.pixels(which)
            for i, one in enumerate(eyes):
                rows = extract(one, pixels)
                if whole := moments[i]:
                    whole.add(rows)
                if len(held) < len(eyes):
                    held.append(rows.new_empty(len(kept[i]), rows.shape[1]))
                first, last = torch.searchsorted(kept[i], torch.tensor([at, which.stop])).tolist()
                held[i][first:last] = rows[kept[i][first:last] - at]
            progress(which.stop)
    checked = [sets.check_rows(rows, side.name, one.name) for rows, one in zip(held, eyes, strict=True)]
    return [Seen(*found) for found in zip(checked, kept, moments, strict=True)]


def _kept(count: int, limit: int, seed: int) -> Tensor:
    """Numbers of the images whose rows are held, rising: all of them, or `limit` as a function of `seed`."""
    return torch.arange(count) if count <= limit else sets.shuffled(count, seed)[:limit].sort().values
