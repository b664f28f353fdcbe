"""The single things that happen to a photograph: (n, c, h, w) in [-1, 1] and parameters (n,), one an example, -> (n, c, h', w').

Any n, h and w from 1 on. Parameters come from the CPU; fields of noise are drawn where the images are. Nothing clips but `stored` and
`jpeg`. A gradient is neither needed nor promised.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in Y (ITU-R BT.601)."""
Filter = Literal["area", "bilinear", "bicubic"]


def stored(x: Tensor) -> Tensor:
    """What a file of 8 bits keeps: clipped, and rounded to 256 levels."""
    return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def luma(x: Tensor) -> Tensor:
    """RGB (n, 3, h, w) -> its brightness Y (n, 1, h, w) of ITU-R BT.601, in [-1, 1]."""
    return (x * x.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def blur(x: Tensor, kernels: Tensor) -> Tensor:
    """Each example with its kernel, (n, k, k) or one for all (1, k, k); mirrored beyond the frame."""
    n, c, h, w = x.shape
    k = kernels.shape[-1]
    weights = kernels.to(x.device, x.dtype).expand(n, k, k).repeat_interleave(c, 0)
    with torch.autocast(x.device.type, enabled=False):
        return conv2d(mirrored(x, k // 2).view(1, n * c, h + k - 1, w + k - 1), weights[:, None], groups=n * c).view(n, c, h, w)


def mirrored(x: Tensor, margin: int) -> Tensor:
    """(n, c, h, w) -> (n, c, h + 2 margin, w + 2 margin), mirrored at its outermost pixels as often as it takes."""
    for axis in (2, 3):
        last = x.shape[axis] - 1
        at = torch.arange(-margin, last + margin + 1, device=x.device).remainder(max(2 * last, 1))
        x = x.index_select(axis, torch.where(at > last, 2 * last - at, at) if last else at * 0)
    return x


def resized(x: Tensor, h: int, w: int, how: Filter = "bicubic", smooth: bool = True) -> Tensor:
    """(n, c, h, w) of another size. Without `smooth`, bilinear and bicubic look at neighbours only and so alias when they shrink."""
    h, w = max(h, 1), max(w, 1)
    if x.shape[2:] == (h, w):
        return x
    with torch.autocast(x.device.type, enabled=False):
        return interpolate(x, (h, w), mode=how) if how == "area" else interpolate(x, (h, w), mode=how, antialias=smooth)


def gaussian_noise(x: Tensor, sigma: Tensor, grey: Tensor | None = None) -> Tensor:
    """Noise of standard deviation sigma (n,), of 255, added; the same in all channels where `grey` (n,) bool."""
    return x + _each(sigma / 127.5, x) * _field(torch.randn_like(x), grey)


def poisson_noise(x: Tensor, scale: Tensor, grey: Tensor | None = None) -> Tensor:
    """Noise of counted light, as if each of 255 levels were one photon, times scale (n,); of its brightness where `grey`.

    Real-ESRGAN's, arXiv:2107.10833, sec. 3.2. It is strongest where the image is bright, its variance going with the light.
    """
    light = ((x + 1) * 127.5).clamp(0, 255)
    noise = torch.poisson(light) - light
    if grey is not None and x.shape[1] == 3:
        level = luma(light)
        noise = torch.where(_each(grey, x), torch.poisson(level) - level, noise)
    return x + _each(scale / 127.5, x) * noise


def sharpened(x: Tensor, amount: Tensor, kernels: Tensor) -> Tensor:
    """What a blur with the kernels takes away, added `amount` (n,) times: the unsharp mask, halos included."""
    return x + _each(amount, x) * (x - blur(x, kernels))


def jpeg(x: Tensor, quality: Tensor, halved: Tensor | None = None) -> Tensor:
    """Through a real JPEG file of quality (n,), whole numbers from 1 to 100; colour at half the resolution (4:2:0) where `halved`.

    1 or 3 channels. Halved everywhere unless said otherwise, as Pillow and most programs have it.
    """
    pixels = ((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().contiguous().numpy()
    half = [True] * len(x) if halved is None else halved.tolist()
    found = [_through_jpeg(one, int(q), colour) for one, q, colour in zip(pixels, quality.tolist(), half, strict=True)]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous().to(x.device, x.dtype) / 127.5 - 1


def dimmed(x: Tensor, stops: Tensor, photons: Tensor, dark: Tensor) -> Tensor:
    """`stops` (n,) halvings of the light, then the sensor's noise, then the camera's tone curve.

    In linear light (gamma 2.2): photons (n,) counted at full white, their Poisson noise, and noise of standard deviation `dark` (n,), of
    full white, of the read-out (Poisson-Gaussian model: Foi et al., 2008, "Practical Poissonian-Gaussian noise modeling and fitting").
    """
    light = ((x.clamp(-1, 1) + 1) / 2) ** 2.2 * _each(2.0**-stops, x)
    count = _each(photons, x)
    seen = torch.poisson(light * count) / count + _each(dark, x) * torch.randn_like(x)
    return seen.clamp(0, 1) ** (1 / 2.2) * 2 - 1


def _through_jpeg(pixels: NDArray[np.uint8], quality: int, halved: bool) -> NDArray[np.uint8]:
    """(h, w, 1 or 3) uint8 -> the same, as a JPEG file gives it back."""
    file = io.BytesIO()
    grey = pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    with Image.open(file, formats=("JPEG",)) as image:
        found = np.array(image)
    return found[:, :, None] if grey else found


def _field(noise: Tensor, grey: Tensor | None) -> Tensor:
    return noise if grey is None else torch.where(_each(grey, noise), noise[:, :1], noise)


def _each(values: Tensor, x: Tensor) -> Tensor:
    """(n,) -> (n, 1, 1, 1) beside x."""
    return values.to(x.device).to(values.dtype if values.dtype == torch.bool else x.dtype).view(-1, 1, 1, 1)
