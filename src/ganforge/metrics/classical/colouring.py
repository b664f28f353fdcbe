"""Colours without a network: none, average ones, and those of other pictures: (h, w, 3) uint8 -> {name: what makes such a one of it}."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from ...core.errors import UsageError
from .known import Image, Known, Palette, Ways, eight, needed, unit


def coloured(image: Image, known: Known) -> Ways:
    """Grey as it is, and every pixel with the mean chroma of the photographs one could have learnt from (`known.chroma`)."""
    y = np.asarray(Pillow.fromarray(image).convert("L"))
    return {"grey": lambda: np.repeat(y[:, :, None], 3, 2), "mean chroma": partial(tinted, y, known.chroma)}


def tinted(y: NDArray[np.uint8], chroma: tuple[float, float]) -> Image:
    """Brightness (h, w) with one Cb and one Cr, from 0 to 255, everywhere."""
    cb, cr = (value - 128 for value in chroma)
    light = y.astype(np.float64)
    return eight(np.stack([light + 1.402 * cr, light - 0.344136 * cb - 0.714136 * cr, light + 1.772 * cb], 2) / 255)


def mean_chroma(photographs: Sequence[Image]) -> tuple[float, float]:
    """Mean Cb and Cr, from 0 to 255, of a set of photographs (h, w, 3)."""
    means = [np.asarray(Pillow.fromarray(photo).convert("YCbCr"))[:, :, 1:].mean((0, 1)) for photo in photographs]
    cb, cr = np.mean(means, 0)
    return float(cb), float(cr)


def transferred(image: Image, known: Known) -> Ways:
    """Mean and spread of Lab (Reinhard et al., 2001, "Color transfer between images", in CIELAB) and histograms of RGB, matched.

    Each from the image's own colours, and from those of the set it belongs to (`known.source`), to those of the set it should look like
    (`known.target`). Raises UsageError without the latter.
    """
    if known.target is None:
        raise UsageError("transfer of colours needs those of the target: Known(target=palette(images)).")
    found: Ways = {"unchanged": lambda: image}
    owns: dict[str, Callable[[], Palette]] = {"": cache(partial(palette, [image]))}
    if (source := known.source) is not None:
        owns[" of the set"] = lambda: source
    for of, own in owns.items():
        for name, way in (("reinhard", reinhard), ("histogram", matched)):
            found[f"{name}{of}"] = partial(_moved, way, image, own, known.target)
    return found


def _moved(way: Callable[[Image, Palette, Palette], Image], image: Image, own: Callable[[], Palette], target: Palette) -> Image:
    return way(image, own(), target)


def palette(images: Sequence[Image]) -> Palette:
    """The colours of a set of images (h, w, 3), each image counting alike."""
    to_lab = needed("skimage.color").rgb2lab
    labs = [to_lab(unit(image)).reshape(-1, 3) for image in images]
    mean = np.mean([one.mean(0) for one in labs], 0)
    spread = np.sqrt(np.mean([((one - mean) ** 2).mean(0) for one in labs], 0))
    counts = np.zeros((3, 256))
    for image in images:
        counts += [np.bincount(image[:, :, c].ravel(), minlength=256) / image[:, :, c].size for c in range(3)]
    return Palette(mean, spread, counts.cumsum(1) / len(images))


def reinhard(image: Image, source: Palette, target: Palette) -> Image:
    """Each of L, a and b shifted and stretched from the source's mean and spread to the target's."""
    colour = needed("skimage.color")
    lab = (colour.rgb2lab(unit(image)) - source.mean) * (target.spread / np.maximum(source.spread, 1e-3)) + target.mean
    return eight(colour.lab2rgb(np.stack([lab[:, :, 0].clip(0, 100), lab[:, :, 1], lab[:, :, 2]], 2)))


def matched(image: Image, source: Palette, target: Palette) -> Image:
    """Each of red, green and blue moved to the level that as many pixels of the target stay below."""
    found = np.empty_like(image)
    for c in range(3):
        there = np.flatnonzero(np.diff(target.shares[c], prepend=0) > 0)  # levels that no pixel has would make steps ambiguous
        curve = np.interp(source.shares[c], target.shares[c][there], there)
        found[:, :, c] = curve.round().astype(np.uint8)[image[:, :, c]]
    return found
