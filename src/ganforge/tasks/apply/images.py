"""An applier on what Python holds: PIL images, arrays and tensors, each answered in kind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...core.errors import DataError, UsageError
from ...data.opening import Unusable
from .applier import Applier
from .holes import Holes
from .pictures import Picture, of_image, to_image
from .process import process

Kind = TypeVar("Kind", Image.Image, np.ndarray, Tensor)
logger = logging.getLogger(__name__)


def apply(applier: Applier, image: Kind, mask: Any = None, tile: int | str = "auto", hints: Any = None) -> Kind:
    """A PIL image, an array (h, w), (h, w, 1), (h, w, 3) or with alpha (h, w, 2 or 4) of uint8 or uint16, or a tensor (c, h, w) or
    (n, c, h, w) in [-1, 1], c 1 or 3 -> the same kind; tensors are not clamped and come back on their device.

    mask: PIL image, array or tensor of (h, w), white, 1 or true in the holes; for a tensor of n images also (n, h, w) or (n, 1, h, w), one
    for each. hints: PIL image of mode RGBA or array (h, w, 4), dots of known colour on a transparent ground. Notes go to the log. Raises
    UsageError for anything else, and as `Applier.run`; DataError for an image of samples whose black and white nobody knows.
    """
    dots = None if hints is None else _picture(hints)
    made: Kind = _tensor(applier, image, mask, tile, dots) if isinstance(image, Tensor) else _still(applier, image, mask, tile, dots)
    return made


def _still(applier: Applier, image: Any, mask: Any, tile: int | str, dots: Picture | None) -> Any:
    picture = _picture(image)
    done = process(applier, picture, _holes(mask, picture.size)[0], tile, dots)
    for note in (*picture.notes, *done.notes):
        logger.warning(note)
    if isinstance(image, Image.Image):
        return to_image(done.picture)
    made = done.picture
    planes = made.colour if made.alpha is None else np.concatenate((made.colour, made.alpha[..., None]), 2)
    return planes[..., 0] if image.ndim == 2 and planes.shape[2] == 1 else planes


def _picture(image: Any) -> Picture:
    if isinstance(image, Image.Image):
        try:
            return of_image(image)
        except Unusable as error:
            raise DataError(f"this image cannot be used: {error}.") from error
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image is a PIL image, a numpy array or a tensor; got {type(image).__name__}.")
    if image.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"arrays are uint8 or uint16; got {image.dtype}. Floats are taken as tensors in [-1, 1].")
    if image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 2, 3, 4) or 0 in image.shape:
        raise UsageError(f"arrays have shape (h, w) or (h, w, c), c from 1 to 4; got {image.shape}.")
    planes = image[..., None] if image.ndim == 2 else image
    return Picture(planes, None) if planes.shape[2] in (1, 3) else Picture(planes[..., :-1], planes[..., -1])


def _tensor(applier: Applier, image: Tensor, mask: Any, tile: int | str, dots: Picture | None) -> Any:
    if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3) or 0 in image.shape or not image.is_floating_point():
        got = f"{tuple(image.shape)}, {image.dtype}"
        raise UsageError(f"tensors have shape (c, h, w) or (n, c, h, w), c 1 or 3, floats in [-1, 1]; got {got}.")
    made, each = [], image if image.ndim == 4 else image[None]
    holes = _holes(mask, (image.shape[-1], image.shape[-2]), len(each))
    for one, found in zip(each, holes, strict=True):
        picture = Picture(one.detach().float().permute(1, 2, 0).cpu().numpy())
        done = process(applier, picture, found, tile, dots)
        for note in done.notes:
            logger.warning(note)
        made.append(torch.from_numpy(np.ascontiguousarray(done.picture.colour)).permute(2, 0, 1))
    whole = torch.stack(made).to(image.device)
    return whole if image.ndim == 4 else whole[0]


def _holes(mask: Any, size: tuple[int, int], count: int = 1) -> Sequence[Holes | None]:
    """(h, w), true in the holes, for each of so many images of this (width, height)."""
    if mask is None:
        return [None] * count
    if isinstance(mask, Image.Image):
        mask = mask.convert("L")
    array, plane = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask), size[::-1]
    many = [shape for n in (1, count) for shape in ((n, *plane), (n, 1, *plane), (n, *plane, 1))]
    if array.dtype.kind not in "buif" or array.shape not in (plane, (*plane, 1), *many):
        more = f", or ({count}, ...) for one each" if count > 1 else ""
        raise UsageError(f"a mask has the shape of its image, {plane}{more}; got {array.shape}, {array.dtype}.")
    most = 1 if array.max() <= 1 else 65535 if array.dtype == np.uint16 else 255  # 0 and 1, or 0 and white
    found = array.reshape(-1, *plane) > most / 2
    return [*found] if len(found) == count else [found[0]] * count
