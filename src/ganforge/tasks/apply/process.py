"""One picture through an applier: colour, alpha and mask each in its own way, and its colours' meaning kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ...core.errors import DataError, UsageError
from .alpha import bled, enlarged
from .applier import Applier, Made
from .holes import Holes, Steps, check_grow, inside, parts, widened
from .pictures import NO_PROFILE, Picture
from .tiles import Array, floats, quantised


class Done(NamedTuple):
    """The new picture, in how many tiles it was made, and what there is to say about that."""

    picture: Picture
    tiles: int
    notes: tuple[str, ...]


def process(
    applier: Applier,
    picture: Picture,
    found: Holes | None = None,
    tile: int | str = "auto",
    hints: Picture | None = None,
    grow: int = 0,
    only: tuple[slice, slice] | None = None,
) -> Done:
    """What the network makes of a picture. found: (h, w), true in its holes, for networks that fill them; all else keeps every byte.

    hints: of the same size, dots of known colour, transparent elsewhere, for networks that take some. grow: pixels by which holes are
    widened; what is made fades into the picture in the outer half of them. only: rows and columns; holes that are worked on without any
    of them may stay as they are. A grey picture stays grey where the applier keeps grey. Raises UsageError where holes are missing or not
    wanted, or hints are not, DataError for hints that do not fit, and as `Applier.run`.
    """
    check_holes(applier, found is not None)
    check_hints(applier, hints is not None)
    check_grow(grow)
    if found is not None and not found.any():
        return Done(picture, 0, ("the mask has no hole: nothing was changed",))
    grey = picture.colour.shape[2] == 1
    colour = picture.colour if picture.alpha is None else bled(picture.colour, picture.alpha)
    rgb = np.broadcast_to(colour, (*colour.shape[:2], 3)) if grey else colour
    if hints is not None:
        rgb = np.concatenate((rgb, _dots(hints, picture.size, rgb.dtype)), 2)
    if found is None:
        new, tiles, told = applier.run(rgb, tile=tile, grey=grey and applier.keeps_grey)
    else:
        new, tiles, told = _mended(applier, picture.colour, rgb, widened(found, grow), grow, tile, only)
    notes, icc = list(told), picture.icc
    if icc and new.shape[2] != picture.colour.shape[2]:
        icc = None
        notes.append(NO_PROFILE)
    alpha = None if picture.alpha is None else enlarged(picture.alpha, applier.scale)
    return Done(replace(picture, colour=new, alpha=alpha, icc=icc), tiles, tuple(notes))


def check_holes(applier: Applier, told: bool) -> None:
    """Raise UsageError where a network that fills holes is told of none, or another one is told of some."""
    if applier.fill and not told:
        raise UsageError("this model fills holes: say where they are with a mask.")
    if told and not applier.fill:
        raise UsageError("this model fills no holes: leave the mask out.")


def check_hints(applier: Applier, told: bool) -> None:
    """Raise UsageError where a network that takes no dots of known colour is given some."""
    if told and not applier.hinted:
        raise UsageError("this model takes no dots of known colour: leave the hints out.")


def check_fit(hints: Picture, size: tuple[int, int]) -> None:
    """Raise DataError for hints that are not of the picture's (width, height)."""
    if hints.size != size:
        raise DataError(f"the hints have {hints.size[0]}x{hints.size[1]} pixels, their picture {size[0]}x{size[1]}: they must be the same.")


def known(alpha: Array) -> Holes:
    """(h, w) true where hints of this transparency know a colour: where they are more opaque than not."""
    return alpha > np.iinfo(alpha.dtype).max // 2


def _dots(hints: Picture, size: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """(h, w, 4) of this kind: RGB, and white where it is known; else black."""
    check_fit(hints, size)
    if hints.alpha is None:
        raise DataError("the hints have no transparency, which says where no colour is known. Paint dots on a transparent layer alone.")
    where = np.where(known(hints.alpha), 1, -1).astype(np.float32)[..., None]
    return quantised(np.concatenate((np.broadcast_to(floats(hints.colour), (*where.shape[:2], 3)), where), 2), dtype)


def _mended(
    applier: Applier, colour: Array, rgb: Array, steps: Steps, grow: int, tile: int | str, only: tuple[slice, slice] | None
) -> Made:
    """colour (h, w, c) with its holes filled, one after another: of a large picture only their surroundings are held as floats."""
    new, tiles, notes = colour.copy(), 0, list[str]()
    for part, meant in parts(steps > 0, applier.reach):
        if only and not _touched(part, meant, only):
            continue
        keeps_grey = colour.shape[2] == 1 and applier.keeps_grey
        made = applier.run(_filled(applier, rgb[part], steps[part] > 0), tile=tile, grey=keeps_grey)
        new[part] = inside(steps[part] * meant, grow, made.picture, new[part])
        tiles += made.tiles
        notes += [note for note in made.notes if note not in notes]
    return Made(new, tiles, tuple(notes))


def _touched(part: tuple[slice, slice], meant: Holes, only: tuple[slice, slice]) -> bool:
    """Whether any hole that is meant in a part of the picture lies in those rows and columns of the picture."""
    rows, columns = (slice(max(0, o.start - p.start), max(0, o.stop - p.start)) for p, o in zip(part, only, strict=True))
    return bool(meant[rows, columns].any())


def _filled(applier: Applier, rgb: Array, found: Holes) -> Array:
    """(h, w, 3) with holes -> (h, w, 4): filled in an ordinary way, and the holes as white on black."""
    if found.all():
        raise DataError("the mask leaves nothing of the picture to go by: there is only hole.")
    assert applier.fill
    x = torch.from_numpy(floats(rgb)).permute(2, 0, 1)[None]
    filled = applier.fill(x, torch.from_numpy(found).float()[None, None])[0].permute(1, 2, 0).numpy()
    white = np.float32(1) if rgb.dtype == np.float32 else np.iinfo(rgb.dtype).max
    black = np.float32(-1) if rgb.dtype == np.float32 else 0
    mask = np.where(found, white, black).astype(rgb.dtype)[..., None]
    return np.concatenate((quantised(filled, rgb.dtype), mask), 2)
