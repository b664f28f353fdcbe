"""How far apart colours look: sRGB images (n, 3, h, w) in [-1, 1] to CIELAB, and differences Delta E in it -> (n,)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.errors import DataError

TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""From linear sRGB to CIE XYZ."""
WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of white: illuminant D65, 2 degree observer."""


def lab(x: Tensor) -> Tensor:
    """sRGB (n, 3, h, w) in [-1, 1] -> CIELAB (n, 3, h, w): L from 0 to 100, a and b about -128 to 127 (CIE 15:2004; IEC 61966-2-1).

    Values outside [-1, 1] are clipped. Raises DataError for anything but three channels.
    """
    if x.ndim != 4 or x.shape[1] != 3:
        raise DataError(f"colours need images (n, 3, h, w); got {tuple(x.shape)}.")
    s = (x.clamp(-1, 1) + 1) / 2
    linear = torch.where(s > 0.04045, ((s + 0.055) / 1.055) ** 2.4, s / 12.92)
    matrix = linear.new_tensor(TO_XYZ) / linear.new_tensor(WHITE)[:, None]
    t = torch.stack([(linear * row.view(3, 1, 1)).sum(1) for row in matrix], 1)  # no matmul: TF32 and bf16 would round it
    f = torch.where(t > 0.008856, t.clamp(min=1e-9) ** (1 / 3), 7.787 * t + 16 / 116)
    return torch.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def delta_e76(a: Tensor, b: Tensor) -> Tensor:
    """Mean Euclidean distance in CIELAB of two images (n, 3, h, w) in [-1, 1] -> (n,); 0 for equal ones, about 2.3 is just noticed.

    Delta E of CIE 1976. It overrates differences of vivid colours. Raises DataError for shapes that differ.
    """
    _check(a, b)
    return (lab(a) - lab(b)).square().sum(1).sqrt().flatten(1).mean(1)


def delta_e2000(a: Tensor, b: Tensor) -> Tensor:
    """Mean CIEDE2000 difference of two images (n, 3, h, w) in [-1, 1] -> (n,); 0 for equal ones, about 1 is just noticed.

    Sharma, Wu & Dalal (2005), "The CIEDE2000 color-difference formula", eq. 2 to 22, all weights 1. Raises DataError for shapes that
    differ.
    """
    _check(a, b)
    return ciede2000(lab(a), lab(b)).flatten(1).mean(1)


def ciede2000(a: Tensor, b: Tensor) -> Tensor:
    """CIELAB (n, 3, ...) and the same -> CIEDE2000 differences (n, ...), pixel by pixel. In double precision inside."""
    (l1, a1, b1), (l2, a2, b2) = a.double().unbind(1), b.double().unbind(1)
    stretch = 1.5 - 0.5 * _seventh((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)
    (c1, h1), (c2, h2) = _polar(a1 * stretch, b1), _polar(a2 * stretch, b2)
    coloured = c1 * c2 > 0  # the hue of grey is none
    turn = h2 - h1
    turn = torch.where(turn > math.pi, turn - 2 * math.pi, torch.where(turn < -math.pi, turn + 2 * math.pi, turn)) * coloured
    far = coloured & ((h1 - h2).abs() > math.pi)
    both = h1 + h2
    hue = torch.where(coloured, (both + torch.where(far, torch.where(both < 2 * math.pi, 2.0, -2.0) * math.pi, 0.0)) / 2, both)
    light, chroma = (l1 + l2) / 2 - 50, (c1 + c2) / 2
    deg = math.radians
    t = 1 - 0.17 * (hue - deg(30)).cos() + 0.24 * (2 * hue).cos() + 0.32 * (3 * hue + deg(6)).cos() - 0.2 * (4 * hue - deg(63)).cos()
    dl = (l2 - l1) / (1 + 0.015 * light**2 / (20 + light**2).sqrt())
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * (c1 * c2).sqrt() * (turn / 2).sin() / (1 + 0.015 * chroma * t)
    blue = deg(30) * (-(((torch.rad2deg(hue) - 275) / 25) ** 2)).exp()
    rotated = -2 * _seventh(chroma) * (2 * blue).sin() * dc * dh
    return (dl**2 + dc**2 + dh**2 + rotated).clamp(min=0).sqrt().to(a.dtype)


def _seventh(chroma: Tensor) -> Tensor:
    return (chroma**7 / (chroma**7 + 25.0**7)).sqrt()


def _polar(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Chroma, and hue from 0 to 2 pi."""
    return torch.hypot(a, b), torch.atan2(b, a).remainder(2 * math.pi)


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise DataError(f"differences of colour need two tensors (n, 3, h, w) of one shape; got {tuple(a.shape)} and {tuple(b.shape)}.")
