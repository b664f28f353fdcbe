"""Transparency beside a network that knows of none: colours under what is not seen, and an alpha of the new size."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ...data.degrade.masks import fill
from .tiles import Array, floats, quantised

BLOCK, MARGIN = 1024, 64
"""Sides of the blocks that are worked on at a time, and what is seen around them."""


def bled(colour: Array, alpha: Array) -> Array:
    """colour (h, w, c) with the colours of what is seen carried on under what is wholly transparent, whose own would come out as a halo."""
    clear = alpha == 0
    if not clear.any():
        return colour
    found = colour.copy()
    for top in range(0, clear.shape[0], BLOCK):
        for left in range(0, clear.shape[1], BLOCK):
            inner = slice(top, top + BLOCK), slice(left, left + BLOCK)
            if not clear[inner].any():
                continue
            above, before = max(0, top - MARGIN), max(0, left - MARGIN)
            outer = slice(above, top + BLOCK + MARGIN), slice(before, left + BLOCK + MARGIN)
            x = torch.from_numpy(floats(colour[outer])).permute(2, 0, 1)[None]
            filled = fill(x, torch.from_numpy(clear[outer]).float()[None, None])[0].permute(1, 2, 0).numpy()
            part = filled[top - above :, left - before :][:BLOCK, :BLOCK]
            found[inner] = np.where(clear[inner][..., None], quantised(part, colour.dtype), colour[inner])
    return found


def enlarged(alpha: Array, scale: int) -> Array:
    """(h, w) -> (h scale, w scale), bicubic; as it is for scale 1."""
    if scale == 1:
        return alpha
    most = float(np.iinfo(alpha.dtype).max)
    size = (alpha.shape[1] * scale, alpha.shape[0] * scale)
    wide = Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(wide) + 0.5, 0, most).astype(alpha.dtype)
