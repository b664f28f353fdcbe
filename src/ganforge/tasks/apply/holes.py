"""Masks that say where a picture's holes are: found beside the pictures, read, and understood whichever way round they are drawn."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, UsageError
from ...data.source import USUAL, natural
from .pictures import Picture
from .tiles import GRID, Array

CONTEXT = 64
"""Pixels around the holes that a network sees at least."""
Holes = NDArray[np.bool_]


def holes(mask: Picture, size: tuple[int, int], hole: str = "auto") -> tuple[Holes, str]:
    """(h, w) true in the holes, and how the mask was understood, for a picture of this (width, height).

    hole: "white", "black", or "auto": the rarer of the two. Raises DataError for another size, or a mask that is all of one kind.
    """
    if mask.size != size:
        raise DataError(f"the mask has {mask.size[0]}x{mask.size[1]} pixels, its picture {size[0]}x{size[1]}: they must be the same.")
    white = mask.colour.mean(2) > np.iinfo(mask.colour.dtype).max / 2
    share = float(white.mean())
    if hole == "auto" and share in (0, 1):
        raise DataError(f"the mask is {'white' if share else 'black'} everywhere. Draw the holes in white on black; or say --hole white.")
    light = share <= 0.5 if hole == "auto" else hole == "white"
    found = white if light else ~white
    guessed = " (the rarer colour; --hole says otherwise)" if hole == "auto" else ""
    return found, f"mask: {'white' if light else 'black'} = hole{guessed}, {found.mean():.1%} of the picture"


def mask_of(source: Path, place: Path, base: Path | None = None) -> Path:
    """The mask of a picture: `place` itself where that is a file; in a folder the one of its name, or of its name and _mask, mask001, ...

    base: the folder that the picture was found in, whose inner folders the masks may mirror. Raises UsageError where there is none.
    """
    if place.is_file():
        return place
    if not place.is_dir():
        raise UsageError(f"--mask {place} is neither a file nor a folder.")
    inner = source.parent.relative_to(base) if base else Path()
    pattern = re.compile(rf"{re.escape(source.stem)}([-_. ]?mask[-_]?\d*)?", re.IGNORECASE)
    for folder in dict.fromkeys((place / inner, place)):
        files = (p for p in (folder.iterdir() if folder.is_dir() else ()) if p.suffix.lower() in USUAL and p != source)
        fitting = sorted((p for p in files if pattern.fullmatch(p.stem)), key=lambda p: (len(p.stem), natural(p.name)))
        if fitting:
            return fitting[0]
    raise DataError(f"no mask for {source.name} in {place}: expected {source.stem}.png or {source.stem}_mask.png.")


def around(found: Holes, reach: int) -> tuple[slice, slice]:
    """The part of a picture that holds all holes, and what a network sees of their surroundings; it starts at multiples of GRID."""
    margin = max(reach, CONTEXT)
    parts = []
    for axis in (1, 0):
        at = np.flatnonzero(found.any(axis))
        parts.append(slice(max(0, int(at[0]) - margin) // GRID * GRID, int(at[-1]) + 1 + margin))
    return parts[0], parts[1]


def inside(found: Holes, made: Array, picture: Array) -> Array:
    """`made` in the holes, `picture` (h, w, c) elsewhere, byte for byte."""
    return np.where(found[..., None], made, picture)
