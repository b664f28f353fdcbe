"""Smoothing that spares edges, for noise, JPEG blocks, the dark and old prints: (h, w, 3) uint8 -> {name: what makes such a one}."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import product

import numpy as np

from .known import Image, Known, Ways, eight, needed, noise_of, unit

SMALLEST = 8
"""Sides below this are too small for wavelets and for patches."""


def denoised(image: Image, known: Known) -> Ways:
    """Non-local means, total variation, wavelets, bilateral filter, each at several strengths around the noise's."""
    sigma = known.sigma or noise_of(image)
    found: Ways = {"unchanged": lambda: image}
    found |= {f"nlm {by:g}": partial(nlm, image, sigma, by) for by in (0.2, 0.4, 0.6, 0.8)}
    found |= {f"tv {by:g}": partial(tv, image, by * sigma) for by in (0.5, 0.8, 1.2)}
    found |= {f"bilateral {by:g}": partial(bilateral, image, by * sigma) for by in (1.5, 2.5, 4.0)}
    return found | ({"wavelet": partial(wavelet, image, sigma)} if min(image.shape[:2]) >= SMALLEST else {})


def deblocked(image: Image, known: Known) -> Ways:
    """The same against the blocks of JPEG, and a median; strengths are those of noise of 2 to 14 of 255.

    Where the quality is known, also about as strong as what files of it lack (`lost`), for files of many qualities.
    """
    found: Ways = {"unchanged": lambda: image, "median 3": partial(median, image)}
    for by in (0.5, 0.8, 1.2) if known.quality else ():
        sigma = by * lost(known.quality)
        found |= {f"nlm of quality {by:g}": partial(nlm, image, sigma, 0.8), f"tv of quality {by:g}": partial(tv, image, sigma)}
        found |= {f"bilateral of quality {by:g}": partial(bilateral, image, 3 * sigma)}
    for sigma in (2.0, 4.0, 7.0, 10.0, 14.0):
        found |= {f"nlm {sigma:g}": partial(nlm, image, sigma, 0.8), f"tv {sigma:g}": partial(tv, image, sigma)}
        found |= {f"bilateral {sigma:g}": partial(bilateral, image, 3 * sigma)}
    return found


def brightened(image: Image, known: Known) -> Ways:
    """A gain in linear light, or a gamma, that brings the mean to three usual values, each without and with non-local means after it."""
    found: Ways = {"unchanged": lambda: image}
    for level in (0.35, 0.42, 0.5):
        for name, curve in (("gamma", gamma), ("gain", gain)):
            bright = cache(partial(curve, image, level))  # once for both, and only where one of them is asked for
            found |= {f"{name} {level:g}": partial(_then, bright, np.copy), f"{name} {level:g} + nlm": partial(_then, bright, smoothed)}
    return found


def refreshed(image: Image, known: Known) -> Ways:
    """Contrast given back by three amounts, or each colour stretched over its range, without and with grey balance and smoothing."""
    found: Ways = {"unchanged": lambda: image}
    balanced = cache(partial(grey_world, image))
    curves: dict[str, Callable[[Image], Image]] = {"stretched": stretched}
    curves |= {f"unfaded {by:g}": partial(unfaded, by=by) for by in (0.1, 0.2, 0.35)}
    for name, curve in curves.items():
        for called, lively in ((name, partial(curve, image)), (f"grey world, {name}", partial(_then, balanced, curve))):
            once = cache(lively)
            for after, step in (("", np.copy), (" + median", median), (" + nlm", smoothed)):
                found[f"{called}{after}"] = partial(_then, once, step)
    return found | {"nlm": partial(smoothed, image), "median 3": partial(median, image)}


def _then(made: Callable[[], Image], step: Callable[[Image], Image]) -> Image:
    """What a step makes of what is made before it."""
    return step(made())


def smoothed(image: Image) -> Image:
    """Non-local means for the noise that it has."""
    return nlm(image, noise_of(image), 0.8)


def lost(quality: int) -> float:
    """About the standard deviation, of 255, of what a JPEG file of a quality from 1 to 100 lacks.

    The steps of its tables are 5000 / q percent of the standard's below 50, 200 - 2 q above (the rule of libjpeg). What is lost grows more
    slowly than they do, for most of what they take away was small: a power of 0.4, with 10 at quality 10, is near enough for photographs.
    """
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    return float(10 * (max(percent, 1) / 500) ** 0.4)


def nlm(image: Image, sigma: float, by: float) -> Image:
    """Non-local means (Buades, Coll & Morel, 2005) for noise of sigma, of 255; `by` times as strong."""
    tool = partial(needed("skimage.restoration").denoise_nl_means, patch_size=5, patch_distance=6, fast_mode=True, channel_axis=-1)
    room = 16  # patches and their neighbourhood need this much around
    margin = [(max(0, (room - side + 1) // 2),) * 2 for side in image.shape[:2]]
    whole = np.pad(unit(image), [*margin, (0, 0)], mode="symmetric")
    found = tool(whole, h=by * sigma / 255, sigma=sigma / 255)
    return eight(found[margin[0][0] :, margin[1][0] :][: image.shape[0], : image.shape[1]])


def tv(image: Image, sigma: float) -> Image:
    """Total variation (Rudin, Osher & Fatemi, 1992; Chambolle, 2004) of weight sigma / 255."""
    return eight(needed("skimage.restoration").denoise_tv_chambolle(unit(image), weight=sigma / 255, channel_axis=-1))


def wavelet(image: Image, sigma: float) -> Image:
    """Soft thresholds of BayesShrink (Chang, Yu & Vetterli, 2000), averaged over shifts (Coifman & Donoho, 1995)."""
    needed("pywt")
    tool = partial(needed("skimage.restoration").denoise_wavelet, method="BayesShrink", mode="soft", channel_axis=-1)
    x, found = unit(image), np.zeros(image.shape)
    for shift in product(range(4), range(4)):
        moved = tool(np.roll(x, shift, (0, 1)), sigma=sigma / 255, convert2ycbcr=True, rescale_sigma=True)
        found += np.roll(moved, (-shift[0], -shift[1]), (0, 1)) / 16
    return eight(found)


def bilateral(image: Image, sigma: float) -> Image:
    """Bilateral filter (Tomasi & Manduchi, 1998): sigma, of 255, in colour and 2 pixels in space."""
    found: Image = needed("cv2").bilateralFilter(image, 7, sigma, 2.0)
    return found


def median(image: Image) -> Image:
    """Median of 3 x 3, colour by colour."""
    found: Image = needed("cv2").medianBlur(image, 3)
    return found


def gamma(image: Image, level: float) -> Image:
    """The power under which the mean becomes `level`, of 1; found by bisection."""
    x, low, high = unit(image), 0.05, 5.0
    for _ in range(30):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if float((x**middle).mean()) > level else (low, middle)
    return eight(x ** ((low * high) ** 0.5))


def gain(image: Image, level: float) -> Image:
    """Light multiplied, in linear light (gamma 2.2), until the mean of the picture is `level`, of 1; clipped at white."""
    light, low, high = unit(image) ** 2.2, 0.2, 500.0
    for _ in range(30):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if float(((light * middle).clip(0, 1) ** (1 / 2.2)).mean()) < level else (low, middle)
    return eight((light * (low * high) ** 0.5).clip(0, 1) ** (1 / 2.2))


def unfaded(image: Image, by: float) -> Image:
    """Contrast divided by 1 - by about a light grey, to which prints fade."""
    grey = 0.625
    return eight(grey + (unit(image) - grey) / (1 - by))


def stretched(image: Image) -> Image:
    """Each colour's 0.5 and 99.5 percentiles to black and white."""
    low, high = np.percentile(image, (0.5, 99.5), axis=(0, 1))
    return eight((image - low) / np.maximum(high - low, 1))


def grey_world(image: Image) -> Image:
    """Each colour multiplied so that all have the same mean (Buchsbaum, 1980)."""
    means = np.maximum(image.mean((0, 1)), 1)
    return eight(unit(image) * (means.mean() / means))
