"""A contact sheet: photographs beside what a degradation makes of them, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganforge.core.errors import DataError, UsageError, nearest
from ganforge.data.decode import flatten, pixels
from ganforge.data.degrade.atoms import luma
from ganforge.data.degrade.presets import HOLES, Degradation
from ganforge.data.opening import Unusable, affordable, damage, opened
from ganforge.data.read import read
from ganforge.data.source import USUAL, Arrays, Files, plain

SIDE, LEAST = 256, 96
"""Most pixels of a side that are shown; images of fewer than LEAST are enlarged by whole factors."""
LINE, GAP = 18, 6
"""Height of a line of text, and space around images, in pixels."""
PAPER, INK, HOLE = (24, 24, 24), (220, 220, 220), (255, 0, 200)


def photographs(path: str, most: int) -> list[tuple[str, Tensor]]:
    """Up to `most` of the images of a file, folder or archive, evenly spread: their names and (1, 3, h, w) in [-1, 1], whole.

    What cannot be used is passed over for the next one. Raises UsageError where there is no such path, DataError where no image is.
    """
    where = Path(path).expanduser()
    if not where.exists():
        beside = sorted(p.name for p in where.parent.iterdir()) if where.parent.is_dir() else []
        raise UsageError(f"{path} does not exist.{nearest(where.name, beside)} Give an image, a folder of images, or an archive.")
    if where.is_file() and where.suffix.lower() in USUAL:
        source: Files | Arrays = Files("file", [where.name], lambda _: where.open("rb"), [], [where.stat().st_size])
    else:
        source = read(where)
    if isinstance(source, Arrays):
        return [(f"image {i}", _ranged(source.x[i])) for i in _spread(len(source.x))[:most]]
    try:
        return _decoded(source, path, most)
    finally:
        source.close()


def detail(x: Tensor, side: int = SIDE, step: int = 1) -> Tensor:
    """The part of x (1, 3, h, w) of at most side x side pixels with most fine detail; sides are multiples of `step` where they can be."""
    h, w = (min(length, side) // step * step or length for length in x.shape[2:])
    edges = luma(x)
    rough = torch.zeros_like(edges)
    rough[:, :, 1:] += (edges[:, :, 1:] - edges[:, :, :-1]).abs()
    rough[:, :, :, 1:] += (edges[:, :, :, 1:] - edges[:, :, :, :-1]).abs()
    sums = avg_pool2d(rough, (h, w), stride=(max(h // 4, 1), max(w // 4, 1)))
    row, column = divmod(int(sums.flatten().argmax()), sums.shape[3])
    top, left = row * max(h // 4, 1), column * max(w // 4, 1)
    return x[:, :, top : top + h, left : left + w]


def visible(name: str, degrade: Degradation) -> Degradation:
    """The degradation of that name with its result in RGB or grey: holes are magenta, hinted brightness has its dots of colour."""

    def holes(x: Tensor) -> Tensor:
        given = degrade(x)
        return torch.where(given[:, 3:] > 0.5, (given.new_tensor(HOLE) / 127.5 - 1).view(3, 1, 1), given[:, :3])

    def hinted(x: Tensor) -> Tensor:
        y, cb, cr, _ = degrade(x).unbind(1)
        return torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1)

    return {**dict.fromkeys(HOLES, holes), "hinted": hinted}.get(name, degrade)


def contact_sheet(photos: list[tuple[str, Tensor]], degrade: Degradation, draws: int, title: str) -> Image.Image:
    """A row a photograph (1, 3, h, w): its name, the original, and `draws` degraded versions, grey or RGB, at the original's size.

    Smaller versions are enlarged by repeating pixels, so that nothing is smoothed over.
    """
    rows = [(name, [x, *(_shown(degrade(x), x) for _ in range(draws))]) for name, x in photos]
    zoom = max(1, LEAST // max(max(x.shape[2:]) for _, x in photos))
    width, high = (zoom * max(x.shape[axis] for _, x in photos) for axis in (3, 2))
    font = ImageFont.load_default(size=12)
    across = GAP + (draws + 1) * (width + GAP)
    across = max(across, int(font.getlength(title)) + 2 * GAP)
    sheet = Image.new("RGB", (across, 2 * LINE + len(rows) * (LINE + high + GAP) + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 3), title, INK, font)
    for column in range(draws + 1):
        pen.text((GAP + column * (width + GAP), LINE + 3), "original" if column == 0 else f"draw {column}", INK, font)
    for row, (name, images) in enumerate(rows):
        top = 2 * LINE + row * (LINE + high + GAP)
        pen.text((GAP, top + 3), plain(name), INK, font)
        for column, x in enumerate(images):
            picture = _picture(x)
            picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
            sheet.paste(picture, (GAP + column * (width + GAP), top + LINE))
    return sheet


def _shown(given: Tensor, x: Tensor) -> Tensor:
    """(1, 1 or 3, h', w') -> a picture (1, 3, h, w) of the size of x."""
    scale = -(-x.shape[2] // given.shape[2])
    large = given.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return large[:, :, : x.shape[2], : x.shape[3]].expand(-1, 3, -1, -1)


def _picture(x: Tensor) -> Image.Image:
    return Image.fromarray(((x[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy())


def _decoded(source: Files, path: str, most: int) -> list[tuple[str, Tensor]]:
    found: list[tuple[str, Tensor]] = []
    why = ""
    for i in _spread(len(source.names)):
        if len(found) == most:
            break
        try:
            found.append((source.names[i], _opened(source, i)))
        except Unusable as error:
            why = f" {plain(source.names[i])}: {error}."
    if not found:
        raise DataError(f"{path} holds no image that can be used.{why} Expected {', '.join(USUAL)} files.")
    return found


def _opened(source: Files, i: int) -> Tensor:
    try:
        with source.open(i) as stream, opened(stream) as image:
            affordable(image, source.sizes[i])
            return _ranged(pixels(flatten(ImageOps.exif_transpose(image), "white", 3)))
    except Unusable:
        raise
    except Exception as error:  # decoders raise anything on damaged input
        raise Unusable(damage(error)) from error


def _ranged(image: NDArray[np.uint8]) -> Tensor:
    """(c, h, w) uint8 -> (1, 3, h, w) in [-1, 1]; transparency is left out."""
    colours = image[:3] if len(image) >= 3 else image[:1].repeat(3, 0)
    return torch.from_numpy(np.ascontiguousarray(colours)).float()[None] / 127.5 - 1


def _spread(count: int) -> list[int]:
    """All numbers below count, so that the first few lie far apart: each bit-reversed one in turn."""
    bits = max(count - 1, 1).bit_length()
    return [at for i in range(1 << bits) if (at := int(f"{i:0{bits}b}"[::-1], 2)) < count]
