"""Where a picture's holes are: masks are understood whichever way round they are drawn, and holes widened and parted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, UsageError
from .pictures import Picture
from .tiles import GRID, Array

CONTEXT = 64
"""Pixels around the holes that a network sees at least."""
TOGETHER = 512
"""Side of the areas of a picture whose holes are worked on in one go; at least 4 times as far as the network sees."""
WIDEST = 100
"""Pixels by which holes may be widened."""
Holes = NDArray[np.bool_]
Steps = NDArray[np.uint8]
"""(h, w), 0 outside of holes, 1 inside; where they were widened, see `widened`."""


def white(mask: Picture) -> Holes:
    """(h, w) true where a mask is white rather than black."""
    light: Holes = mask.colour.mean(2) > np.iinfo(mask.colour.dtype).max / 2
    return light


def holes(mask: Picture, size: tuple[int, int], hole: str = "auto", guessed: str = "") -> tuple[Holes, str]:
    """(h, w) true in the holes, and how the mask was understood, for a picture of this (width, height).

    hole: "white", "black", or "auto": the rarer of the two. guessed: how another guess was made, in words. Raises DataError for another
    size, or a mask that is all of one kind.
    """
    if mask.size != size:
        raise DataError(f"the mask has {mask.size[0]}x{mask.size[1]} pixels, its picture {size[0]}x{size[1]}: they must be the same.")
    light = white(mask)
    share = float(light.mean())
    if hole == "auto" and share in (0, 1):
        raise DataError(f"the mask is {'white' if share else 'black'} everywhere. Draw the holes in white on black; or say --hole white.")
    if hole == "auto":
        hole, guessed = "white" if share <= 0.5 else "black", " (the rarer colour; --hole says otherwise)"
    found = light if hole == "white" else ~light
    return found, told(found, hole, guessed)


def told(found: Holes, hole: str, guessed: str = "", count: int = 1) -> str:
    """How a mask, or so many of one picture, was understood, in words."""
    return f"{'mask' if count == 1 else f'{count} masks together'}: {hole} = hole{guessed}, {found.mean():.1%} of the picture"


def check_grow(grow: int) -> None:
    """Raise UsageError for a number of pixels by which holes cannot be widened."""
    if not 0 <= grow <= WIDEST:
        raise UsageError(f"holes are widened by 0 to {WIDEST} pixels; got {grow}.")


def widened(found: Holes, grow: int) -> Steps:
    """Holes and a ring of `grow` pixels around them: (h, w), grow + 1 in the holes, one less for each pixel away from them, then 0.

    Distance is that of an octagon: every other step goes into the corners, too.
    """
    steps = found.astype(np.uint8)
    for step in range(grow):
        on = steps > 0
        wide = on.copy()
        wide[1:] |= on[:-1]
        wide[:-1] |= on[1:]
        seen = on if step % 2 else wide.copy()
        wide[:, 1:] |= seen[:, :-1]
        wide[:, :-1] |= seen[:, 1:]
        steps += wide
    return steps


def inside(steps: Steps, grow: int, made: Array, picture: Array) -> Array:
    """`made` in the holes, `picture` (h, w, c) outside of them, byte for byte; in the outer half of the ring one fades into the other."""
    new: Array = np.where(steps[..., None] > 0, made, picture)
    full = grow // 2 + 1
    soft = (steps > 0) & (steps < full)
    share = steps[soft][:, None].astype(np.float32) / full
    faded = made[soft] * share + picture[soft] * (1 - share)
    new[soft] = faded if picture.dtype == np.float32 else np.rint(faded).astype(picture.dtype)
    return new


def around(found: Holes, reach: int, corner: tuple[int, int] = (0, 0)) -> tuple[slice, slice]:
    """The part of a picture that holds all holes, and what a network sees of their surroundings; it starts at multiples of GRID.

    corner: where in the picture `found` begins.
    """
    margin = max(reach, CONTEXT)
    found_at = [np.flatnonzero(found.any(axis)) + first for axis, first in zip((1, 0), corner, strict=True)]
    rows, columns = (slice(max(0, int(at[0]) - margin) // GRID * GRID, int(at[-1]) + 1 + margin) for at in found_at)
    return rows, columns


def parts(found: Holes, reach: int) -> Iterator[tuple[tuple[slice, slice], Holes]]:
    """Where to work, one after another, so that little of a large picture is held at a time: as `around`, and which holes there are meant.

    Holes in neighbouring blocks of GRID pixels belong together, and those that begin in one area of TOGETHER pixels are meant at once. What
    is meant adds up to all holes, none of them twice; a part may hold pieces of others.
    """
    side = max(TOGETHER, 4 * reach) // GRID
    areas: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for group in _connected(found):
        top, left = min(row for row, _ in group), min(column for _, column in group)
        areas.setdefault((top // side, left // side), []).extend(group)
    for _, blocks in sorted(areas.items()):
        at = np.array(blocks)
        first, size = at.min(0), np.ptp(at, 0) + 1
        mine = np.zeros(size, bool)
        mine[tuple((at - first).T)] = True
        top, left = (int(n) * GRID for n in first)
        here = found[top : top + int(size[0]) * GRID, left : left + int(size[1]) * GRID]
        here = here & mine.repeat(GRID, 0).repeat(GRID, 1)[: here.shape[0], : here.shape[1]]
        rows, columns = around(here, reach, (top, left))
        meant = np.zeros_like(found[rows, columns])
        meant[top - rows.start :, left - columns.start :][: here.shape[0], : here.shape[1]] = here
        yield (rows, columns), meant


def _connected(found: Holes) -> Iterator[list[tuple[int, int]]]:
    """The blocks of GRID pixels with holes, row and column, in groups of neighbours."""
    down, across = (np.arange(0, length, GRID) for length in found.shape)
    left = {(int(row), int(column)) for row, column in np.argwhere(np.logical_or.reduceat(np.logical_or.reduceat(found, down), across, 1))}
    while left:
        group, waiting = list[tuple[int, int]](), [left.pop()]
        while waiting:
            row, column = waiting.pop()
            group.append((row, column))
            near = {(row + by, column + aside) for by in (-1, 0, 1) for aside in (-1, 0, 1)} & left
            left -= near
            waiting += near
        yield group
