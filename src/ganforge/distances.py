"""How far two images or maps lie apart, as terms of a loss: (n, c, h, w) and the same -> (n,) >= 0, differentiable, 0 for equal ones.

Images are in [-1, 1]. Callers weigh the terms and take the mean. What is sensitive to rounding is computed in fp32, whatever comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from .losses import per_example

Terms = Mapping[str, tuple[Callable[[Tensor, Tensor], Tensor], float]]
"""Name -> a distance of made to wanted images, (n, c, h, w), same -> (n,), and its weight."""
RANGE = 2.0
"""From -1 to 1; the L of the papers on structural similarity."""
C1, C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
WINDOW, SIGMA = 11, 1.5
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM from the finest scale to the coarsest: Wang, Simoncelli and Bovik (2003), sec. 4."""
STEEP = 1e-3
"""Below this a mean structure term counts as so much: the slope of its small power would grow without end."""


def l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference: (n, ...), same -> (n,)."""
    return per_example((a - b).abs())


def charbonnier(a: Tensor, b: Tensor, eps: float = 1e-3) -> Tensor:
    """Mean of sqrt((a - b)^2 + eps^2) - eps: (n, ...), same -> (n,). L1 without its kink (Lai et al., 2017, arXiv:1704.03915, sec. 3.3)."""
    return per_example(((a - b).square() + eps**2).sqrt()) - eps


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """1 - structural similarity over as many of the five scales as fit: (n, c, h, w), same -> (n,) in [0, 1]; h and w at least 11.

    k scales fit if the shorter side is at least 11 * 2^(k-1): five from 176 pixels. With fewer, their exponents keep their
    proportions and add up to 1. A loss for restoration: Zhao et al., 2015, arXiv:1511.08861, sec. III.
    Raises ValueError for images smaller than a window.
    """
    side = min(a.shape[2:])
    if side < WINDOW:
        raise ValueError(f"structural similarity needs images of at least {WINDOW} x {WINDOW} pixels; got {a.shape[2]} x {a.shape[3]}.")
    powers = SCALES[: min(len(SCALES), (side // WINDOW).bit_length())]
    with torch.autocast(a.device.type, enabled=False):  # differences of squares do not survive bf16
        a, b, result = a.float() + 1, b.float() + 1, a.new_ones(len(a), a.shape[1], dtype=torch.float32)
        for scale, power in enumerate(powers):
            light, structure = windows(a, b)
            coarsest = scale == len(powers) - 1
            term = (light * structure if coarsest else structure).mean((2, 3)).clamp(min=STEEP)
            result = result * term ** (power / sum(powers))
            if not coarsest:
                a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
        return 1 - result.mean(1)


def colour(a: Tensor, b: Tensor, scale: int = 8) -> Tensor:
    """Mean absolute difference of the means of scale x scale pixels: (n, c, h, w), same -> (n,). Sees shifts of colour, not detail.

    A low-passed colour term, as DPED has it with a Gaussian (Ignatov et al., 2017, arXiv:1704.02470, eq. 1).
    """
    side = min(scale, *a.shape[2:])
    return l1(avg_pool2d(a, side), avg_pool2d(b, side))


def feature_matching(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of a critic's maps [(n, c, h, w), ...], same -> (n,).

    b are the maps of the wanted image, detached by the caller (pix2pixHD: Wang et al., 2018, arXiv:1711.11585, eq. 4).
    """
    return torch.stack([l1(x, y) for x, y in zip(a, b, strict=True)]).mean(0)


def gram(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """How far two images differ in style: a network's maps of them [(n, c, h, w), ...], same but for h and w -> (n,).

    Which features come together, wherever they do: the sum over layers of the squared differences of Gram matrices (c, c), each divided
    by c h w (Gatys et al., 2015, arXiv:1508.06576, eq. 3-5; scaled as Johnson et al., 2016, arXiv:1603.08155, eq. 3-4). In fp32.
    """
    return torch.stack([(_gram(x) - _gram(y)).square().sum((1, 2)) for x, y in zip(a, b, strict=True)]).sum(0)


def tv(x: Tensor) -> Tensor:
    """Total variation: (n, c, h, w) -> (n,), absolute differences of neighbours, down and across, summed and divided by c h w.

    The anisotropic one, linear in the contrast; 0 for a plain image (Johnson et al., 2016, arXiv:1603.08155, sec. 3.2).
    """
    down, across = (x.diff(dim=dim).abs().flatten(1).sum(1) for dim in (2, 3))
    return (down + across) / x[0].numel()


def used(terms: Terms) -> Terms:
    """Those that weigh something."""
    return {name: term for name, term in terms.items() if term[1]}


def weighed(terms: Terms, made: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of distances, a scalar in fp32, and each one's unweighted mean by the name that it is logged under."""
    made, wanted = made.float(), wanted.float()
    off = {f"distance/{name}": distance(made, wanted).mean() for name, (distance, _) in terms.items()}
    total = sum((weight * term for (_, weight), term in zip(terms.values(), off.values(), strict=True)), made.new_zeros(()))
    return total, off


def windows(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The light term and the contrast-and-structure term of every whole window, of images in [0, 2] where black is 0, as the papers
    have it and the light term needs it: (n, c, h, w) -> (n, c, h - 10, w - 10) each (Wang, Bovik, Sheikh & Simoncelli, 2004, eq. 13)."""
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    together = _blur(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return light, (2 * together + C2) / (var_a + var_b + C2)


def _gram(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c, c) in fp32."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().flatten(2)
        return x @ x.transpose(1, 2) / x[0].numel()


def _blur(x: Tensor) -> Tensor:
    """Weighted means over the windows that fit, down and then across."""
    at = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    weights = (-at.square() / (2 * SIGMA**2)).exp()
    weights = (weights / weights.sum()).expand(x.shape[1], 1, WINDOW)
    x = conv2d(x, weights[..., None], groups=x.shape[1])
    return conv2d(x, weights[:, :, None], groups=x.shape[1])
