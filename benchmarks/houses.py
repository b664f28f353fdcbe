"""Drawn houses and their plans: pairs of a label map and a picture, as many as wanted, for translation with a known answer.

A picture is a function of its plan alone: bricks, tiles, planks and paving in fixed patterns, window frames, a shadow under the eaves, a
sky that pales towards the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plan = NDArray[np.uint8]
"""(side, side): the kind of each pixel, an index into KINDS."""
Picture = NDArray[np.uint8]
"""(side, side, 3): RGB."""
KINDS = {
    "sky": (70, 130, 230),
    "ground": (120, 120, 120),
    "wall": (220, 60, 40),
    "roof": (130, 0, 130),
    "window": (60, 220, 220),
    "door": (240, 170, 30),
    "tree": (40, 180, 40),
}
"""Colours of the kinds on a plan."""
SKY, GROUND, WALL, ROOF, WINDOW, DOOR, TREE = range(len(KINDS))


def plan(draw: np.random.Generator, side: int = 64) -> Plan:
    """A house with a roof, rows of windows and a door, and perhaps a tree before it."""
    found = np.full((side, side), SKY, np.uint8)
    rows, columns = np.mgrid[:side, :side]
    ground = int(side * draw.uniform(0.78, 0.9))
    found[ground:] = GROUND
    wide, high = int(side * draw.uniform(0.45, 0.75)), int(side * draw.uniform(0.35, 0.5))
    left = int(draw.integers(2, side - wide - 1))
    top, middle = ground - high, left + wide / 2
    peak = int(side * draw.uniform(0.12, 0.22))
    slope = (rows - (top - peak)) / peak * (wide / 2 + 3)
    found[(rows >= top - peak) & (rows < top) & (abs(columns - middle + 0.5) <= slope)] = ROOF
    found[top:ground, left : left + wide] = WALL
    across, down = int(draw.integers(2, 5)), int(draw.integers(1, 3))
    for row in range(down):
        for column in range(across):
            y = top + int(high * (row + 0.3) / (down + 0.6))
            x = left + int(wide * (column + 0.28) / across)
            found[y : y + max(5, int(0.4 * high / (down + 0.6))), x : x + max(4, int(0.45 * wide / across))] = WINDOW
    door = left + int(draw.integers(2, wide - side // 8 - 1))
    found[ground - side // 6 : ground, door : door + side // 9] = DOOR
    if draw.random() < 0.6:
        centre, size = draw.integers(0, side), side * draw.uniform(0.07, 0.13)
        found[(rows - (ground - size)) ** 2 + (columns - centre) ** 2 < size**2] = TREE
    return found


def picture(found: Plan) -> Picture:
    """What the plan looks like when it is built."""
    side = len(found)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    mortar = (y % 4 == 0) | ((x + 4 * (y // 4 % 2)) % 8 == 0)
    speckle = 14 * (np.sin(2.1 * x + 1.3 * y) + np.sin(1.7 * y - 0.9 * x))
    looks = {
        SKY: _tint((95, 150, 225)) + (y / side * 110)[..., None] * np.float32((1.0, 0.75, 0.25)),
        GROUND: _tint((150, 145, 130)) + (10 * (((x + y) % 6 < 3) ^ ((x - y) % 6 < 3)))[..., None],
        WALL: np.where(mortar[..., None], _tint((214, 196, 178)), _tint((172, 88, 66)) + (speckle / 2)[..., None]),
        ROOF: _tint((84, 72, 92)) + (24 * ((x + 2 * (y // 3 % 2)) % 5 < 1) + 18 * (y % 3 < 1))[..., None],
        WINDOW: _tint((60, 120, 205)) + (45 * ((x + y) % 12 < 4))[..., None],
        DOOR: _tint((96, 58, 30)) + (-30 * (x % 4 < 1))[..., None],
        TREE: _tint((52, 112, 44)) + speckle[..., None],
    }
    out = np.select([(found == kind)[..., None] for kind in looks], [*looks.values()])
    out[(found == WINDOW) & _edge(found == WINDOW)] = (25, 45, 125)
    eaves = (found == WALL) & (np.roll(found == ROOF, 1, 0) | np.roll(found == ROOF, 2, 0) | np.roll(found == ROOF, 3, 0))
    out[eaves] *= 0.6
    return out.clip(0, 255).astype(np.uint8)


def drawn(found: Plan) -> Picture:
    """The plan in its colours."""
    return np.array([*KINDS.values()], np.uint8)[found]


class Palette(NamedTuple):
    """Which colours stand for what."""

    colours: NDArray[np.float32]
    """(m, 3)."""
    kinds: Plan
    """(m,)."""


def palette(plans: Sequence[Plan], pictures: Sequence[Picture], step: int = 16) -> Palette:
    """The colours of pictures in steps, each with the kind that most often has it; those of less than a pixel in 5,000 are left out."""
    levels = np.stack(pictures).reshape(-1, 3) // step
    found, where = np.unique(levels, axis=0, return_inverse=True)
    counts = np.zeros((len(found), len(KINDS)), np.int64)
    np.add.at(counts, (where.ravel(), np.stack(plans).ravel()), 1)
    kept = counts.sum(1) * 5000 >= counts.sum()
    return Palette((found[kept].astype(np.float32) + 0.5) * step, counts[kept].argmax(1).astype(np.uint8))


def kinds(of: Picture, known: Palette) -> Plan:
    """What a picture shows: each pixel is of the kind of the nearest colour."""
    apart = np.square(of.astype(np.float32)[:, :, None] - known.colours).sum(3)
    return known.kinds[apart.argmin(2)]


def overlap(a: Plan, b: Plan) -> float:
    """Mean over the kinds of either plan of the intersection over the union."""
    shares = [((a == kind) & (b == kind)).sum() / either.sum() for kind in range(len(KINDS)) if (either := (a == kind) | (b == kind)).any()]
    return float(np.mean(shares))


def _tint(colour: tuple[int, int, int]) -> NDArray[np.float32]:
    return np.float32(colour)[None, None]


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The outermost pixels of each area."""
    return ~np.logical_and.reduce([np.roll(inside, by, axis) for axis in (0, 1) for by in (-1, 1)])
