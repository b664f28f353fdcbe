"""Before the long job: what a model makes of the most detailed part of a photo, at every strength, beside what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..core.errors import UsageError
from ..data.decode import eight_bits
from .apply.holes import Holes
from .apply.of_model import LIVELY, applier, has_strength
from .apply.pictures import Picture, to_image
from .apply.process import check_fit, known, process
from .apply.save import on_white
from .apply.tiles import Array

if TYPE_CHECKING:
    from ..runs.model import Model

SIDE = 256
"""Pixels of the photo that are shown, each way."""
STRENGTHS = (0.0, 0.5, 1.0)
GAP, HEAD = 8, 24
PAPER, INK = (48, 48, 48), (230, 230, 230)
CUT = "this network looks at whole pictures, and this one is too large for that: tones of the result may differ from what is shown"
BLOCK = 16
"""Detail is counted in blocks of so many pixels."""


class Sheet(NamedTuple):
    """A picture, RGB, and what there is to say about it."""

    image: Image.Image
    notes: tuple[str, ...]


def sheet(
    model: Model,
    picture: Picture,
    found: Holes | None = None,
    side: int = SIDE,
    *,
    hints: Picture | None = None,
    export: str = LIVELY,
) -> Sheet:
    """The input and what the model makes of it, side by side: at strengths 0, 0.5 and 1 where it has them.

    found: (h, w), true in the holes, for models that fill them; those that are shown are filled as in the whole. hints: dots of known
    colour, for models that take some. export: which of the model's networks. A network that looks at whole pictures gets the whole, unless
    it is so large that applying cuts it, too. Transparency is laid on white. Raises UsageError and DataError as `process` does.
    """
    if found is not None and not found.any():
        raise UsageError("the mask has no hole: there is nothing to show.")
    if hints is not None:
        check_fit(hints, picture.size)
    if found is not None:
        top, left = _centred(found, side, detailed(found[..., None] * np.uint8(255), side))
    else:
        dotted = None if hints is None or hints.alpha is None else known(hints.alpha)
        top, left = detailed(on_white(picture).colour, side, dotted)
    first, size = applier(model, export=export), picture.colour.shape[:2]
    notes: tuple[str, ...] = ()
    # what surrounds the part is seen, too, as it will be in the whole
    above, before = (max(0, at - first.reach) // first.grid * first.grid for at in (top, left))
    outer = slice(above, top + side + first.reach), slice(before, left + side + first.reach)
    if found is not None or not first.exact and first.takes_whole(*size):
        above, before, outer = 0, 0, (slice(0, size[0]), slice(0, size[1]))
    elif not first.exact:
        notes = (CUT,)
    inner = slice((top - above) * first.scale, (top - above + side) * first.scale)
    across = slice((left - before) * first.scale, (left - before + side) * first.scale)
    given, dots = _part(picture, outer), None if hints is None else _part(hints, outer)
    shown = slice(top, top + side), slice(left, left + side)
    panels = {"input": _shown(_part(picture, shown), first.scale)}
    for strength in STRENGTHS if has_strength(model) and export == LIVELY else (None,):
        made = process(applier(model, strength, export), given, found, hints=dots, only=shown).picture
        panels["result" if strength is None else f"strength {strength:g}"] = _shown(_part(made, (inner, across)))
    return Sheet(_beside(panels), notes)


def detailed(colour: Array, side: int, dots: Holes | None = None) -> tuple[int, int]:
    """(top, left) of the part of (h, w, c), `side` pixels each way where there are as many, with the most change between neighbours.

    dots: (h, w), some of which are to be seen in that part, where there are any.
    """
    grey = colour[..., 1 if colour.shape[2] == 3 else 0].astype(np.int32)
    change = np.zeros_like(grey)
    change[:, 1:] += np.abs(np.diff(grey, axis=1))
    change[1:] += np.abs(np.diff(grey, axis=0))
    sums = _sums(change, side)
    if dots is not None and dots.any():
        sums = np.where(_sums(dots, side) > 0, sums, -1)
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    row, column = (max(0, min(int(at) * BLOCK, length - side)) for at, length in zip((top, left), grey.shape, strict=True))
    return row, column


def _sums(values: NDArray[Any], side: int) -> NDArray[np.int64]:
    """Of (h, w): the sum of every part, `side` pixels each way, that begins at a block."""
    rows, columns = (np.arange(0, length, BLOCK) for length in values.shape)
    blocks = np.add.reduceat(np.add.reduceat(values, rows, 0, np.int64), columns, 1)
    table = np.pad(blocks.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    high, wide = (min(side // BLOCK, length) for length in blocks.shape)
    sums: NDArray[np.int64] = table[high:, wide:] - table[:-high, wide:] - table[high:, :-wide] + table[:-high, :-wide]
    return sums


def _centred(found: Holes, side: int, corner: tuple[int, int]) -> tuple[int, int]:
    """(top, left) of the part whose middle is that of all that is seen of the holes in the part at this corner."""
    top, left = corner
    at = np.argwhere(found[top : top + side, left : left + side])
    if not len(at):  # their edge alone is seen there
        return corner
    middle = (at.min(0) + at.max(0) + 1) // 2 + corner
    row, column = (max(0, min(int(m) - side // 2, length - side)) for m, length in zip(middle, found.shape, strict=True))
    return row, column


def _part(picture: Picture, outer: tuple[slice, slice]) -> Picture:
    return Picture(np.ascontiguousarray(picture.colour[outer]), None if picture.alpha is None else picture.alpha[outer])


def _shown(picture: Picture, scale: int = 1) -> Image.Image:
    """8 or 16 bits on white as RGB, which PIL would clip if it were given 16."""
    colour = on_white(picture).colour
    image = to_image(Picture(colour if colour.dtype == np.uint8 else eight_bits(colour))).convert("RGB")
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC) if scale > 1 else image


def _beside(panels: dict[str, Image.Image]) -> Image.Image:
    width, height = next(iter(panels.values())).size
    step = max(width, 120) + GAP  # room for the name
    whole = Image.new("RGB", (GAP + step * len(panels), HEAD + height + GAP), PAPER)
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=14)
    for number, (name, panel) in enumerate(panels.items()):
        pen.text((GAP + step * number, 4), name, fill=INK, font=font)
        whole.paste(panel, (GAP + step * number, HEAD))
    return whole
