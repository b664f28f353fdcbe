"""Before the long job: what a model makes of the most detailed part of a photo, at every strength, beside what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..core.errors import UsageError
from .apply.holes import Holes
from .apply.of_model import applier, has_strength
from .apply.pictures import Picture, to_image
from .apply.process import process
from .apply.tiles import Array

if TYPE_CHECKING:
    from ..runs.model import Model

SIDE = 256
"""Pixels of the photo that are shown, each way."""
STRENGTHS = (0.0, 0.5, 1.0)
GAP, HEAD = 8, 24
PAPER, INK = (48, 48, 48), (230, 230, 230)
BLOCK = 16
"""Detail is counted in blocks of so many pixels."""


def sheet(model: Model, picture: Picture, found: Holes | None = None, side: int = SIDE) -> Image.Image:
    """The input and what the model makes of it, side by side: at strengths 0, 0.5 and 1 where it has them. RGB.

    found: (h, w), true in the holes, for models that fill them. Raises UsageError as `process` does.
    """
    if found is not None and not found.any():
        raise UsageError("the mask has no hole: there is nothing to show.")
    top, left = detailed(picture.colour if found is None else found[..., None] * np.uint8(255), side)
    first = applier(model)
    # what surrounds the part is seen, too, as it will be in the whole
    above, before = (max(0, at - first.reach) // first.grid * first.grid for at in (top, left))
    outer = slice(above, top + side + first.reach), slice(before, left + side + first.reach)
    inner = slice((top - above) * first.scale, (top - above + side) * first.scale)
    across = slice((left - before) * first.scale, (left - before + side) * first.scale)
    colour = np.ascontiguousarray(picture.colour[outer])
    holes = None if found is None else found[outer]
    panels = {"input": _enlarged(picture.colour[top : top + side, left : left + side], first.scale)}
    for strength in STRENGTHS if has_strength(model) else (None,):
        made = process(applier(model, strength), Picture(colour), holes).picture.colour[inner, across]
        name = "result" if strength is None else f"strength {strength:g}"
        panels[name] = to_image(Picture(np.ascontiguousarray(made))).convert("RGB")
    return _beside(panels)


def detailed(colour: Array, side: int) -> tuple[int, int]:
    """(top, left) of the part of (h, w, c), `side` pixels each way where there are as many, with the most change between neighbours."""
    grey = colour[..., 1 if colour.shape[2] == 3 else 0].astype(np.int32)
    change = np.zeros_like(grey)
    change[:, 1:] += np.abs(np.diff(grey, axis=1))
    change[1:] += np.abs(np.diff(grey, axis=0))
    rows, columns = (np.arange(0, length, BLOCK) for length in grey.shape)
    blocks = np.add.reduceat(np.add.reduceat(change, rows, 0, np.int64), columns, 1)
    table = np.pad(blocks.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    high, wide = (min(side // BLOCK, length) for length in blocks.shape)
    sums = table[high:, wide:] - table[:-high, wide:] - table[high:, :-wide] + table[:-high, :-wide]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    row, column = (max(0, min(int(at) * BLOCK, length - side)) for at, length in zip((top, left), grey.shape, strict=True))
    return row, column


def _enlarged(colour: Array, scale: int) -> Image.Image:
    image = to_image(Picture(np.ascontiguousarray(colour)))
    if image.mode == "I;16":
        image = to_image(Picture((np.asarray(image) >> 8).astype(np.uint8)[..., None]))
    return image.convert("RGB").resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)


def _beside(panels: dict[str, Image.Image]) -> Image.Image:
    width, height = next(iter(panels.values())).size
    step = max(width, 120) + GAP  # room for the name
    whole = Image.new("RGB", (GAP + step * len(panels), HEAD + height + GAP), PAPER)
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=14)
    for number, (name, panel) in enumerate(panels.items()):
        pen.text((GAP + step * number, 4), name, fill=INK, font=font)
        whole.paste(panel, (GAP + step * number, HEAD))
    return whole
