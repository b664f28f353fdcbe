"""Holes to be filled: masks (n, 1, h, w) of 0 and 1 on the CPU, where 1 is a hole; and a plain fill for a network to start from.

Every mask has a hole of at least a pixel, and leaves at least a pixel known where the image has more than one. Shapes keep their share
of the image at any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from ganforge.data.degrade.draws import number, pick, whole

Pen = ImageDraw.ImageDraw
FULL = 0.4
"""Share of an image from which on no further shape is drawn into its mask."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&@.,-"
SWEEPS = 12
"""Rounds of averaging at each scale of `fill`."""


def strokes(n: int, h: int, w: int) -> Tensor:
    """Broad strokes of a brush, 1 to 5, each of 1 to 5 straight parts: (n, 1, h, w).

    Parts are up to 200 / 256 of the short side long and 5 / 256 to 100 / 256 wide (LaMa, Suvorov et al., 2022, arXiv:2109.07161, and its
    published settings; the way of drawing is that of DeepFill v2, arXiv:1806.03589).
    """

    def draw(pen: Pen) -> None:
        side, x, y = min(h, w) / 256, number(0, w - 1), number(0, h - 1)
        width = max(1, round(number(5, 100) * side))
        turn = number(0, 2 * math.pi)
        for part in range(whole(1, 5)):
            turn += number(-0.8, 0.8) + (math.pi if part % 2 else 0)  # to and fro, as a hand does
            length = number(10, 200) * side
            to_x, to_y = (min(max(v, 0), most - 1) for v, most in ((x + length * math.cos(turn), w), (y + length * math.sin(turn), h)))
            _line(pen, [(x, y), (to_x, to_y)], width)
            x, y = to_x, to_y

    return _masks(n, h, w, lambda: [draw] * whole(1, 5))


def boxes(n: int, h: int, w: int) -> Tensor:
    """Upright boxes, 1 to 4, with sides of 30 / 256 to 150 / 256 of the image's: (n, 1, h, w) (LaMa, arXiv:2109.07161)."""

    def draw(pen: Pen) -> None:
        wide, high = (max(1, round(number(30, 150) / 256 * side)) for side in (w, h))
        left, top = whole(0, max(w - wide, 0)), whole(0, max(h - high, 0))
        pen.rectangle((left, top, left + wide - 1, top + high - 1), fill=255)

    return _masks(n, h, w, lambda: [draw] * whole(1, 4))


def scratches(n: int, h: int, w: int) -> Tensor:
    """Long thin scratches, 1 to 6, and folds, as old prints have: (n, 1, h, w)."""

    def draw(pen: Pen) -> None:
        width = max(1, round(number(0.5, 4) * min(h, w) / 256))
        across = pick((True, False))
        at, drift = number(0, 1), number(-0.3, 0.3)
        stops = [(t / 8, at + drift * t / 8 + number(-0.01, 0.01)) for t in range(whole(0, 3), whole(5, 9))]
        _line(pen, [(along * w, off * h) if across else (off * w, along * h) for along, off in stops], width)

    return _masks(n, h, w, lambda: [draw] * whole(1, 6))


def text(n: int, h: int, w: int) -> Tensor:
    """Lines of letters, 1 to 4, such as dates and watermarks, of 1 / 16 to 1 / 5 of the short side, at least 6 pixels: (n, 1, h, w)."""

    def draw(pen: Pen) -> None:
        words = "".join(pick(LETTERS) for _ in range(whole(3, 16)))
        font = ImageFont.load_default(size=max(6.0, min(h, w) * number(1 / 16, 1 / 5)))
        pen.text((number(-0.1, 0.7) * w, number(-0.05, 0.9) * h), words, fill=255, font=font)

    return _masks(n, h, w, lambda: [draw] * whole(1, 4))


def mixed(n: int, h: int, w: int) -> Tensor:
    """One kind an example: strokes (1 in 2), boxes, scratches or text: (n, 1, h, w)."""
    kinds = (strokes, boxes, scratches, text)
    return torch.cat([pick(kinds, (3, 1, 1, 1))(1, h, w) for _ in range(n)])


def fill(x: Tensor, mask: Tensor) -> Tensor:
    """(n, c, h, w) with holes, mask (n, 1, h, w) -> the same with smooth colours in them; known pixels keep every bit.

    The smoothest surface through the known pixels, coarse to fine: at each scale the hole is guessed from the next coarser one and then
    averaged with its neighbours. What lies in the holes of x does not matter, and an image without a known pixel becomes grey.
    """
    hole = mask.to(x.device) > 0.5
    known = (~hole).to(x.dtype)
    return torch.where(hole, _smooth(torch.where(hole, 0.0, x), known), x)


def cut_out(x: Tensor, mask: Tensor) -> Tensor:
    """(n, 3, h, w) and holes (n, 1, h, w), 0 or 1 -> (n, 4, h, w): the image with its holes filled, and the holes."""
    mask = mask.to(x.device, x.dtype)
    return torch.cat([fill(x, mask), mask], 1)


def _smooth(x: Tensor, known: Tensor) -> Tensor:
    """x is 0 where known (n, 1, h, w) is."""
    h, w = x.shape[2:]
    if max(h, w) == 1:
        return x
    share = avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    colour = avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) / share.clamp(min=1e-6)
    coarse = _smooth(colour, (share > 0).to(x.dtype))
    guess = torch.where(known > 0, x, interpolate(coarse, (h, w), mode="bilinear", align_corners=False))
    for _ in range(SWEEPS):
        framed = pad(guess, (1, 1, 1, 1), mode="replicate")
        around = framed[:, :, :-2, 1:-1] + framed[:, :, 2:, 1:-1] + framed[:, :, 1:-1, :-2] + framed[:, :, 1:-1, 2:]
        guess = torch.where(known > 0, x, around / 4)
    return guess


def _masks(n: int, h: int, w: int, shapes: Callable[[], list[Callable[[Pen], None]]]) -> Tensor:
    """n masks, each of shapes of its own, drawn one after another until it is full enough."""
    return torch.stack([_mask(h, w, shapes()) for _ in range(n)])


def _mask(h: int, w: int, shapes: list[Callable[[Pen], None]]) -> Tensor:
    image = Image.new("L", (w, h))
    for shape in shapes:
        shape(ImageDraw.Draw(image))
        if np.asarray(image).mean() >= FULL * 255:
            break
    mask = torch.from_numpy(np.array(image) >= 128)[None].float()
    if not mask.any():
        mask.view(-1)[whole(0, h * w - 1)] = 1
    if mask.all() and h * w > 1:
        mask.view(-1)[whole(0, h * w - 1)] = 0
    return mask


def _line(pen: Pen, stops: list[tuple[float, float]], width: int) -> None:
    """A line with round joints and ends."""
    pen.line(stops, fill=255, width=width)
    for x, y in stops if width > 2 else []:
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
