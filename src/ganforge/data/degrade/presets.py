"""Degradations by name: clean (n, 3, h, w) in [-1, 1] on any device -> given, what a network is shown and asked to mend.

Every example draws its own parameters, from torch's global generator: seeding torch repeats them. What is given is what a file of 8
bits would hold, for a photograph that anybody brings is such a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganforge.core.errors import UsageError, nearest
from ganforge.data.degrade import ageing, atoms, kernels, masks
from ganforge.data.degrade.chains import harshly, webbed
from ganforge.data.degrade.draws import between, chance, whole
from ganforge.data.degrade.strengths import Strength, ends

Degradation = Callable[[Tensor], Tensor]
SHAKEN = 17
"""Side of the kernels of `blurred`."""
SIGMA, QUALITY = 25, 20
"""Usual strengths."""
HOLES = ("holes", "strokes", "boxes", "scratches", "text")
"""Degradations that cut parts out: all shapes mixed, or one kind of them alone."""


def clean(scale: int = 2) -> Degradation:
    """Made smaller by bicubic averaging, and nothing else: (n, 3, h, w) -> (n, 3, h / scale, w / scale), rounded up."""
    _check_scale(scale)
    return lambda x: atoms.stored(atoms.resized(x, *_smaller(x, scale)))


def web(scale: int = 2) -> Degradation:
    """Made smaller as pictures on the web are: resized, sharpened, compressed once or twice; see `chains.webbed`. Sizes as `clean`."""
    _check_scale(scale)
    return lambda x: torch.cat([webbed(one, *_smaller(one, scale)) for one in x.split(1)])


def harsh(scale: int = 2) -> Degradation:
    """Made smaller after two rounds of blur, resizing, noise and JPEG (Real-ESRGAN, arXiv:2107.10833); see `chains.harshly`."""
    _check_scale(scale)
    return lambda x: torch.cat([harshly(one, *_smaller(one, scale)) for one in x.split(1)])


def noise(sigma: Strength = SIGMA) -> Degradation:
    """Gaussian noise of standard deviation sigma, of 255: one for all, or drawn evenly from a range, "5-50" or (5, 50).

    Raises UsageError for what does not lie from 0 to 255.
    """
    _sigmas(sigma)
    return lambda x: noised(x, sigma)[0]


def noised(x: Tensor, sigma: Strength = SIGMA) -> tuple[Tensor, Tensor]:
    """As `noise`, and the sigma (n,) that each example drew, for methods that need to know it."""
    drawn = between(*_sigmas(sigma), len(x))
    return atoms.stored(atoms.gaussian_noise(x, drawn)), drawn


def jpeg(quality: Strength = QUALITY) -> Degradation:
    """Through a JPEG file of a quality from 1 to 100: one for all, or drawn evenly from a range, "10-60" or (10, 60), ends included.

    Raises UsageError for others.
    """
    _qualities(quality)
    return lambda x: compressed(x, quality)[0]


def compressed(x: Tensor, quality: Strength = QUALITY) -> tuple[Tensor, Tensor]:
    """As `jpeg`, and the quality (n,) that each example drew, for methods that need to know it."""
    low, high = _qualities(quality)
    drawn = torch.randint(low, high + 1, (len(x),))
    return atoms.jpeg(x, drawn), drawn


def deblur(x: Tensor) -> Tensor:
    """A shaken camera, a lens out of focus or one that is soft, and a little noise: (n, 3, h, w) -> the same."""
    return blurred(x)[0]


def gaussian_blur(x: Tensor) -> Tensor:
    """The soft lens of `deblur` alone: (n, 3, h, w) -> the same."""
    return blurred(x, soft=True)[0]


def blurred(x: Tensor, soft: bool = False) -> tuple[Tensor, Tensor]:
    """As `deblur`, or `gaussian_blur` if `soft`, and what a point of light became, (n, k, k), for methods that need to know it.

    These point spread functions are the kernels turned half round: `atoms.blur` correlates, textbooks and their tools convolve.
    Paths of 3 to 15 pixels, discs of radius 1 to 3.5 and Gaussians of sigma 0.7 to 3 are equally likely; noise of sigma 1 to 3 of 255.
    """
    n = len(x)
    paths, discs = kernels.shake(SHAKEN, between(3, 15, n)), kernels.disc(SHAKEN, between(1, 3.5, n))
    kinds = torch.stack([paths, discs, kernels.gaussian(SHAKEN, between(0.7, 3, n))])
    which = torch.full((n,), 2) if soft else torch.randint(len(kinds), (n,))
    kernel = kinds[which, torch.arange(n)]
    return atoms.stored(atoms.gaussian_noise(atoms.blur(x, kernel), between(1, 3, n))), kernel.flip(1, 2)


def low_light(x: Tensor) -> Tensor:
    """A picture taken in the dark: 2 to 4 stops less light, its noise, and a cast of colour: (n, 3, h, w) -> the same."""
    n = len(x)
    dark = atoms.dimmed(x, between(2, 4, n), 10 ** between(2.7, 3.7, n), between(0.0005, 0.002, n))
    cast = (1 + 0.04 * torch.randn(n, 3, 1, 1)).to(x.device)
    return atoms.stored((dark + 1) * cast - 1)


def old_photo(x: Tensor) -> Tensor:
    """A faded, browned, grainy, stained, dusty and scratched print, scanned: (n, 3, h, w) -> the same.

    In the manner of "Bringing Old Photos Back to Life" (Wan et al., 2020, arXiv:2004.09484, sec. 3.2), with drawn damage in place of
    photographed paper. Half of the prints have scratches.
    """
    n = len(x)
    x = atoms.blur(x, kernels.gaussian(13, between(0.3, 1.8, n)))
    x = ageing.browned(ageing.faded(x, between(0.1, 0.5, n)), between(0.2, 0.9, n))
    x = ageing.stained(ageing.grained(x, between(2, 14, n), between(0.3, 1.2, n)), between(0, 0.15, n))
    x = ageing.dusty(x, between(0, 0.003, n))
    x = torch.where((torch.rand(n) < 0.5).to(x.device).view(-1, 1, 1, 1), ageing.scratched(x), x)
    return atoms.jpeg(x, torch.randint(60, 96, (n,)))


def grey(x: Tensor) -> Tensor:
    """Brightness alone: (n, 3, h, w) -> Y (n, 1, h, w) of ITU-R BT.601."""
    return atoms.stored(atoms.luma(x))


def hinted(x: Tensor) -> Tensor:
    """Brightness and a few dots of true colour: (n, 3, h, w) -> (n, 4, h, w): Y, Cb and Cr from -1 to 1 (0 where unknown), dots 0 or 1.

    Half of the examples have none, the others about eight squares of 1 to 9 pixels, near the middle rather than the rim
    (Zhang et al., 2017, arXiv:1705.02999, sec. 3.1: a geometric number, p = 1/8).
    """
    n, _, h, w = x.shape
    dots = torch.zeros(n, 1, h, w)
    for one in dots[:, 0]:
        told = chance(0.5)
        while told:
            half, row, column = whole(0, 4), *(min(max(round(side * (0.5 + 0.25 * _normal())), 0), side - 1) for side in (h, w))
            one[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1] = 1
            told = not chance(1 / 8)
    dots = dots.to(x.device, x.dtype)
    y = atoms.luma(x)
    chroma = torch.cat([(x[:, 2:] - y) / 1.772, (x[:, :1] - y) / 1.402], 1)
    return torch.cat([atoms.stored(y), chroma * dots, dots], 1)


def holes(x: Tensor, shapes: Callable[[int, int, int], Tensor] = masks.mixed) -> Tensor:
    """Parts cut out and smoothly filled: (n, 3, h, w) -> (n, 4, h, w): red, green and blue, known pixels as they are, and holes 0 or 1.

    shapes: (n, h, w) -> masks (n, 1, h, w), such as `masks.scratches`.
    """
    return masks.cut_out(x, shapes(len(x), *x.shape[2:]))


PRESETS: Mapping[str, Callable[..., Degradation]] = {
    "clean": clean,
    "web": web,
    "harsh": harsh,
    "noise": noise,
    "jpeg": jpeg,
    "deblur": lambda: deblur,
    "gaussian-blur": lambda: gaussian_blur,
    "low-light": lambda: low_light,
    "old-photo": lambda: old_photo,
    "grey": lambda: grey,
    "hinted": lambda: hinted,
    "holes": lambda: holes,
    "strokes": lambda: partial(holes, shapes=masks.strokes),
    "boxes": lambda: partial(holes, shapes=masks.boxes),
    "scratches": lambda: partial(holes, shapes=masks.scratches),
    "text": lambda: partial(holes, shapes=masks.text),
}
"""What makes each degradation, by the name that users type."""


def named(name: str, scale: int | None = None, sigma: Strength | None = None, quality: Strength | None = None) -> Degradation:
    """The degradation of that name; None leaves a strength at its default.

    Raises UsageError for a name that is none of PRESETS, and for a strength that the degradation does not have.
    """
    maker = PRESETS.get(name.replace("_", "-"))
    if maker is None:
        raise UsageError(f"'{name}' is no degradation.{nearest(name, PRESETS)} There are: {', '.join(PRESETS)}.")
    options: dict[str, Any] = {"scale": scale, "sigma": sigma, "quality": quality}
    given, takes = {key: value for key, value in options.items() if value is not None}, inspect.signature(maker).parameters
    if wrong := [key for key in given if key not in takes]:
        having = [key for key, each in PRESETS.items() if wrong[0] in inspect.signature(each).parameters]
        raise UsageError(f"'{name}' has no {wrong[0]}, which is for {', '.join(having)}. Leave it out.")
    return maker(**given)


def _sigmas(sigma: Strength) -> tuple[float, float]:
    return ends(sigma, 0, 255, "sigma is a standard deviation from 0 to 255, such as 25, or a range of them, such as 5-50")


def _qualities(quality: Strength) -> tuple[int, int]:
    low, high = ends(quality, 1, 100, "quality is a whole number from 1 to 100, such as 20, or a range of them, such as 10-60", whole=True)
    return int(low), int(high)


def _smaller(x: Tensor, scale: int) -> tuple[int, int]:
    return -(-x.shape[2] // scale), -(-x.shape[3] // scale)


def _check_scale(scale: int) -> None:
    if scale not in (1, 2, 3, 4):
        raise UsageError(f"scale is how many times smaller the given image is: 1, 2, 3 or 4; got {scale}.")


def _normal() -> float:
    return float(torch.randn(1))
