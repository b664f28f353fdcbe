"""Enlarging, sharpening, best by a known blur, and filling of holes: (h, w, 3) uint8 -> {name: what makes such a one of it}."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter

from ...core.errors import UsageError
from ...data.degrade.masks import fill
from .known import Image, Known, Ways, eight, needed, unit

LARGEST = 100_000
"""Pixels of a hole, at most, for the biharmonic surface: they are the unknowns of one system that is solved directly, and its time and
memory grow faster than they do. More than any piece has that methods are chosen on, and far less than a hole of a large photograph."""


def enlarged(image: Image, known: Known) -> Ways:
    """Bicubic and Lanczos to `known.scale` times the size, and nearest for comparison."""
    h, w = image.shape[:2]
    size = (w * known.scale, h * known.scale)
    ways = {"nearest": Pillow.Resampling.NEAREST, "bicubic": Pillow.Resampling.BICUBIC, "lanczos": Pillow.Resampling.LANCZOS}
    return {name: partial(_resized, image, size, way) for name, way in ways.items()}


def _resized(image: Image, size: tuple[int, int], way: Pillow.Resampling) -> Image:
    return np.asarray(Pillow.fromarray(image).resize(size, way))


def deblurred(image: Image, known: Known) -> Ways:
    """Unsharp masks, and where the kernel is known Wiener filter and Richardson-Lucy, which are told it, each at several strengths."""
    found: Ways = {"unchanged": lambda: image}
    found |= {f"unsharp {radius} {by:g}": partial(unsharp, image, radius, by) for radius in (1, 2, 4) for by in (0.5, 1.0, 2.0)}
    if known.kernel is None:
        return found
    found |= {f"wiener {by:g}": partial(wiener, image, known.kernel, by) for by in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)}
    return found | {f"richardson-lucy {rounds}": partial(richardson_lucy, image, known.kernel, rounds) for rounds in (5, 10, 20, 40)}


def unsharp(image: Image, radius: float, by: float) -> Image:
    """`by` times what a Gaussian blur of `radius` pixels takes away, added to the image: it has to be told nothing."""
    return np.asarray(Pillow.fromarray(image).filter(ImageFilter.UnsharpMask(radius, round(100 * by), 0)))


def wiener(image: Image, kernel: NDArray[np.floating], balance: float) -> Image:
    """Wiener-Hunt filter: `balance` weighs the energy of the Laplacian against the fit (Hunt, 1971)."""
    tool, (frame, margin) = needed("skimage.restoration").wiener, _framed(image, kernel)
    return _cut(np.stack([tool(channel, kernel, balance) for channel in frame], 2), image, margin)


def richardson_lucy(image: Image, kernel: NDArray[np.floating], rounds: int) -> Image:
    """So many rounds of Richardson (1972) and Lucy (1974); more are sharper and noisier."""
    tool, (frame, margin) = needed("skimage.restoration").richardson_lucy, _framed(image, kernel)
    return _cut(np.stack([tool(channel.clip(1e-3), kernel, num_iter=rounds) for channel in frame], 2), image, margin)


def inpainted(image: Image, known: Known) -> Ways:
    """Telea and Navier-Stokes at two radii, the biharmonic surface where it is `solvable`, and the smoothest one.

    Raises UsageError without `known.hole`. Pixels outside the hole keep every bit.
    """
    hole = known.hole
    if hole is None or hole.shape != image.shape[:2]:
        got = "none" if hole is None else f"one of shape {hole.shape}"
        raise UsageError(f"classical inpainting needs the hole: Known(hole=...), True inside, of shape {image.shape[:2]}; got {got}.")
    cv2, mask = needed("cv2"), hole.astype(np.uint8)
    ways = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}
    found: Ways = {f"{name} {radius}": partial(cv2.inpaint, image, mask, radius, way) for name, way in ways.items() for radius in (3, 7)}
    if not hole.all() and solvable(hole):
        surface = needed("skimage.restoration").inpaint_biharmonic
        found["biharmonic"] = lambda: eight(surface(unit(image), hole, channel_axis=-1, split_into_regions=True))
    found["smoothest"] = partial(smoothest, image, hole)
    return {name: partial(_inside, made, image, hole) for name, made in found.items()}


def solvable(hole: NDArray[np.bool_]) -> bool:
    """Whether none of the holes (h, w) has more than LARGEST pixels. Those that nearly touch are one, as scikit-image has it."""
    if np.count_nonzero(hole) <= LARGEST:
        return True
    cv2 = needed("cv2")
    _, which = cv2.connectedComponents(cv2.dilate(hole.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))))
    return bool(np.bincount(which[hole]).max() <= LARGEST)


def smoothest(image: Image, hole: NDArray[np.bool_]) -> Image:
    """The smoothest surface, as networks that fill holes begin with: `data.degrade.masks.fill`."""
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    smooth = fill(x, torch.from_numpy(hole.copy())[None, None].float())
    return eight(((smooth[0] + 1) / 2).permute(1, 2, 0).numpy())


def _inside(made: Callable[[], Image], image: Image, hole: NDArray[np.bool_]) -> Image:
    return np.where(hole[:, :, None], made(), image)


def _framed(image: Image, kernel: NDArray[np.floating]) -> tuple[NDArray[np.float32], int]:
    """(3, h + 2 m, w + 2 m), mirrored at its edges, so that the filters' wrapping round stays outside; and m."""
    margin = 2 * kernel.shape[0]
    return np.pad(unit(image), [(margin, margin), (margin, margin), (0, 0)], mode="symmetric").transpose(2, 0, 1), margin


def _cut(frame: NDArray[np.floating], image: Image, margin: int) -> Image:
    return eight(frame[margin : margin + image.shape[0], margin : margin + image.shape[1]])
