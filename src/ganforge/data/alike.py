"""Images that equal or nearly equal another one, and those unlike all others: reported, and removed only if asked for.

Near duplicates share most of 112 bits that say whether brightness rises from one part of the image to the next (a difference
hash), and differ by little where both are shrunk to 16x16. Only neighbours in seven sorted orders of the bits are compared, so
time grows as n log n; crowded sets may hide a pair, none is ever made up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ganforge.data.source import plain

SIDE = 16
MOST_BITS = 10
"""Bits of 112 in which near duplicates may differ."""
MOST_LEVELS = 4.0
"""Root mean square difference of their thumbnails, in levels of 255."""
NEIGHBOURS = 4
FAR = 8.0
"""Outliers lie this many robust standard deviations beyond the median distance from the centre."""
FEWEST = 50
"""With fewer images nothing can be called unlike the others."""
_ONES = np.array([k.bit_count() for k in range(256)], np.uint8)


class Alike(NamedTuple):
    """For each image (n,) the first one that it equals, and that it equals or nearly equals; and up to 10 outliers, furthest first."""

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    outliers: NDArray[np.int64]


def compare(pixels: NDArray[np.uint8], mirrored: bool = False) -> Alike:
    """Look for all of these among images (n, c, h, w), read once from start to end.

    With `mirrored` an image is also near to one whose mirror image it equals or nearly equals.
    """
    exact = np.arange(len(pixels))
    turned: list[tuple[int, int]] = []
    small = np.empty((len(pixels), pixels.shape[1], SIDE, SIDE), np.uint8)
    seen: dict[bytes, int] = {}
    for start in range(0, len(pixels), 512):
        part = np.ascontiguousarray(pixels[start : start + 512])
        for i, image in enumerate(part, start):
            exact[i] = seen.setdefault(_digest(image), i)
            if mirrored and (other := seen.get(_digest(np.ascontiguousarray(image[..., ::-1])))) is not None:
                turned.append((other, i))
        small[start : start + len(part)] = shrunk(part, SIDE).round()
    first = np.flatnonzero(exact == np.arange(len(exact)))
    near = exact.copy()
    near[first] = first[joined(len(first), _near_pairs(small[first]))]
    if mirrored:
        both = np.concatenate([small[first], small[first][..., ::-1]])
        pairs = ((first[one % len(first)], first[other % len(first)]) for one, other in _near_pairs(both))
        return Alike(exact, joined(len(near), [*enumerate(near[exact].tolist()), *turned, *pairs]), _outliers(small))
    return Alike(exact, near[exact], _outliers(small))


def told(found: Alike, names: Sequence[str]) -> dict[str, Any]:
    """For the report: how many images equal or nearly equal an earlier one, which (up to 100), and which are unlike all others."""
    own = np.arange(len(found.exact))
    copies, others = own[found.exact != own], own[(found.near != own) & (found.exact == own)]
    return {
        "duplicates": len(copies),
        "near_duplicates": len(others),
        "alike": [[plain(names[found.near[i]]), plain(names[i])] for i in [*copies[:50], *others[:50]]],
        "outliers": [plain(names[i]) for i in found.outliers],
    }


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.data, digest_size=16).digest()


def shrunk(part: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """(n, c, h, w) -> (n, c, side, side): means of equal parts."""
    return F.adaptive_avg_pool2d(torch.from_numpy(part).float(), side).numpy()


def _bits(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, c, 16, 16) -> (n, 14): is each of 8x8 parts clearly darker than the one to its right, and the one below?"""
    grey = small.reshape(*small.shape[:2], 8, 2, 8, 2).mean((1, 3, 5), dtype=np.float32)
    across, down = np.diff(grey, axis=2) > 2, np.diff(grey, axis=1) > 2
    return np.packbits(np.concatenate([across.reshape(len(small), 56), down.reshape(len(small), 56)], 1), axis=1)


def _near_pairs(small: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    bits = _bits(small)
    for turn in range(0, 14, 2):
        wide = np.pad(np.roll(bits, turn, 1), ((0, 0), (0, 2))).view(">u8")
        order = np.lexsort((wide[:, 1], wide[:, 0]))
        for away in range(1, min(NEIGHBOURS + 1, len(order))):
            a, b = order[:-away], order[away:]
            close = _ONES[bits[a] ^ bits[b]].sum(1) <= MOST_BITS
            a, b = a[close], b[close]
            for at in range(0, len(a), 1024):
                some, others = a[at : at + 1024], b[at : at + 1024]
                apart = np.square(small[some].astype(np.float32) - small[others]).mean((1, 2, 3))
                good = apart <= MOST_LEVELS**2
                yield from zip(some[good].tolist(), others[good].tolist(), strict=True)


def joined(n: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """The smallest member of the group of each of n things, where pairs share a group."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(i) for i in range(n)], np.int64)


def _outliers(small: NDArray[np.uint8]) -> NDArray[np.int64]:
    """By the Mahalanobis distance of 4x4 colours and contrasts from their mean."""
    if len(small) < FEWEST:
        return np.empty(0, np.int64)
    blocks = small.reshape(*small.shape[:2], 4, 4, 4, 4).astype(np.float32)
    features = np.concatenate([blocks.mean((3, 5)), blocks.std((3, 5))], 1).reshape(len(small), -1)
    features = (features - features.mean(0)).astype(np.float64)
    spread = features.T @ features / len(features)
    spread += np.eye(len(spread)) * (0.05 * np.trace(spread) / len(spread) + 1)
    distance = np.sqrt((features * np.linalg.solve(spread, features.T).T).sum(1))
    middle = np.median(distance)
    limit = middle + FAR * 1.4826 * max(float(np.median(np.abs(distance - middle))), 1e-6)
    order = np.argsort(-distance)[:10]
    return order[distance[order] > limit]
