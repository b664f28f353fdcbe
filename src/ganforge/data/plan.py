"""The decisions left to `auto`: size and colour, each with the sentence that explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median_low

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from ganforge.core.errors import UsageError, nearest

LOW, HIGH = 8, 1024
AUTO_MOST = 64
"""The largest side that auto chooses, for the sake of machines without a GPU."""
GREY_MODES = ("1", "L", "LA", "La", "I", "F")


def parse_size(text: str) -> tuple[int, int]:
    """ "64" -> (64, 64), "96x64" -> (96, 64). Raises UsageError unless each side is a multiple of 4 from 8 to 1024."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(s.isascii() and s.isdigit() for s in sides):
        raise UsageError(f"size must be auto, a number such as 64, or WIDTHxHEIGHT such as 96x64; got '{text}'.")
    wide, high = int(sides[0]), int(sides[-1])
    if (legal(wide), legal(high)) != (wide, high):
        near = str(legal(wide)) if len(sides) == 1 else f"{legal(wide)}x{legal(high)}"
        raise UsageError(f"size must be a multiple of 4 from {LOW} to {HIGH}; got {text}. Nearest: {near}.")
    return wide, high


def parse_window(text: str) -> tuple[float, float] | None:
    """ "0,4095" -> (0, 4095), "" -> None. Raises UsageError unless it is two finite numbers in rising order."""
    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not -math.inf < low < high < math.inf:
        raise UsageError(f"window must be two numbers LOW,HIGH such as 0,4095; got '{text}'.")
    return low, high


def check_alpha(alpha: str, colour: str) -> None:
    """Raise UsageError unless `alpha` is a colour that Pillow knows, or keep together with colours."""
    if alpha == "keep":
        if colour == "grey":
            raise UsageError("alpha = keep needs colours: use colour = rgb or auto, or lay the images on a colour.")
        return
    try:
        opaque = len(ImageColor.getrgb(alpha)) == 3
    except ValueError:
        opaque = False
    if not opaque:
        hint = nearest(alpha, ("white", "black", "grey", "keep"))
        raise UsageError(f"alpha must be keep, or a colour such as white, black or #ff8800; got '{alpha}'.{hint}")


def legal(side: int) -> int:
    """The nearest side that is a multiple of 4 from 8 to 1024."""
    return min(max(round(min(side, HIGH) / 4) * 4, LOW), HIGH)


def choose_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int, str]:
    """Width, height and why, for images of these (width, height)."""
    first = sizes[0]
    same = all(s == first for s in sizes)
    if same and max(first) <= AUTO_MOST and (legal(first[0]), legal(first[1])) == first:
        return *first, f"{first[0]}x{first[1]}: the size that all the images have"
    short = median_low([min(s) for s in sizes])
    side = next((s for s in (AUTO_MOST, 32) if s <= short), max(LOW, short // 4 * 4))
    why = f"{side}x{side}: {'the' if same else 'the median'} short side is {short}"
    if short >= 2 * AUTO_MOST:
        why += f", and auto stops at {AUTO_MOST} (set size for more)"
    return side, side, why


def grey_by_mode(modes: Sequence[str]) -> bool:
    """Whether at least 99 % of the images are grey by their file's own word."""
    grey = sum(m in GREY_MODES or m.startswith("I;") for m in modes)
    return 100 * grey >= 99 * len(modes)


def grey_by_pixels(rgb: NDArray[np.uint8]) -> bool:
    """Whether at least 99 % of the images (n, 3, h, w) hold no colour: channels at most 4 levels apart (JPEG is not exact)."""
    colourful, allowed = 0, len(rgb) // 100
    for start in range(0, len(rgb), 256):
        part = rgb[start : start + 256].astype(np.int16)
        apart = (part.max(1) - part.min(1)).reshape(len(part), -1).max(1)
        colourful += int((apart > 4).sum())
        if colourful > allowed:
            return False
    return True


def to_grey(rgb: NDArray[np.uint8], in_place: bool = False) -> NDArray[np.uint8]:
    """(n, 3, h, w) -> (n, 1, h, w) with the luma weights (and rounding) that Pillow uses; in_place gives a view of its first plane."""
    out = rgb[:, :1] if in_place else np.empty((len(rgb), 1, *rgb.shape[2:]), np.uint8)
    weights = np.array([19595, 38470, 7471], np.uint32)
    for start in range(0, len(rgb), 256):
        part = rgb[start : start + 256].astype(np.uint32)
        out[start : start + 256, 0] = (np.tensordot(part, weights, (1, 0)) + 0x8000) >> 16
    return out
