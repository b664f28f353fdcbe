"""The ways in which images are brought to a feature network's size. They move FID by several points, so a number names its own."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate


def tensorflow1(x: Tensor, side: int) -> Tensor:
    """Images (n, c, h, w) -> float32 (n, c, side, side), as the original FID did: bilinear, no anti-aliasing, and not centred.

    Pixel i of the result lies at i h / side of the original, without the half-pixel shift of today's resizers (TensorFlow 1,
    `resize_bilinear` with align_corners=False). Values keep their range.
    """
    return _stretched(_stretched(x.float(), side, 3), side, 2)


def clean(x: Tensor, side: int) -> Tensor:
    """Images (n, c, h, w) uint8 -> float32 (n, c, side, side) in 0..255 on the CPU: PIL's anti-aliased bicubic, unrounded.

    The protocol of Parmar et al., 2022 (arXiv:2104.11222): every channel is resized as floats, then clipped to 0..255.
    """
    n, c = x.shape[:2]
    out = np.empty((n * c, side, side), np.float32)
    for place, plane in enumerate(x.cpu().flatten(0, 1).numpy().astype(np.float32)):
        out[place] = np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC))
    return torch.from_numpy(out.clip(0, 255, out=out)).view(n, c, side, side)


def bicubic(x: Tensor, side: int) -> Tensor:
    """Images (n, c, h, w) -> float32 (n, c, side, side), anti-aliased and clipped to 0..255; on the device where they are."""
    return interpolate(x.float(), size=(side, side), mode="bicubic", antialias=True, align_corners=False).clamp_(0, 255)


def _stretched(x: Tensor, side: int, axis: int) -> Tensor:
    """Linear interpolation along one axis."""
    length = x.shape[axis]
    place = torch.arange(side, device=x.device, dtype=torch.float32) * (length / side)
    low = place.long()
    shape = [1, 1, 1, 1]
    shape[axis] = side
    part = (place - low).view(shape)
    left = x.index_select(axis, low)
    return left + (x.index_select(axis, (low + 1).clamp(max=length - 1)) - left) * part
