"""What a classical method may be told about an image, and what all of them share."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UsageError

Image = NDArray[np.uint8]
Ways = dict[str, Callable[[], Image]]
"""Methods by name, each of which works when it is called."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of a set of images."""

    mean: NDArray[np.float64]
    """(3,) of L, a and b."""
    spread: NDArray[np.float64]
    """(3,), their standard deviations."""
    shares: NDArray[np.float64]
    """(3, 256): the share of pixels of at most each level, of red, green and blue."""


@dataclass(frozen=True, eq=False)
class Known:
    """Facts that a method could not guess, given by who made the damage: the rival is to be as strong as it can be."""

    scale: int = 2
    """Of super-resolution."""
    sigma: float = 0.0
    """Standard deviation of the noise, of 255; 0: it is estimated."""
    quality: int = 0
    """Of the JPEG file that it went through; 0: nobody knows."""
    kernel: NDArray[np.floating] | None = None
    """(k, k), what the blur makes of a point of light."""
    hole: NDArray[np.bool_] | None = None
    """(h, w), True inside."""
    chroma: tuple[float, float] = (128.0, 128.0)
    """Mean Cb and Cr of the photographs one could have learnt from: `colouring.mean_chroma`."""
    source: Palette | None = None
    """Of the images to be translated: `colouring.palette`."""
    target: Palette | None = None
    """Of those they are to look like."""


def needed(module: str) -> Any:
    """The library of that name. Raises UsageError with what to type where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError('Classical methods need OpenCV and scikit-image. Type: pip install "ganforge[image]"') from error


def eight(image: NDArray[Any]) -> Image:
    """[0, 1] floats -> uint8, clipped and rounded; what is not a number is black."""
    return (np.nan_to_num(image).clip(0, 1) * 255).round().astype(np.uint8)


def unit(image: Image) -> NDArray[np.float32]:
    """uint8 -> [0, 1]."""
    found: NDArray[np.float32] = np.divide(image, 255, dtype=np.float32)
    return found


def noise_of(image: Image) -> float:
    """Standard deviation of its noise, of 255, estimated from the finest wavelets (Donoho & Johnstone, 1994); at least 0.5."""
    if min(image.shape[:2]) < 8:
        return 5.0  # too small for wavelets to tell noise from picture
    needed("pywt")
    estimate = needed("skimage.restoration").estimate_sigma(unit(image), channel_axis=-1, average_sigmas=True)
    return max(float(np.nan_to_num(estimate)) * 255, 0.5)
