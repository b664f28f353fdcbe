"""What there was before networks: the best classical methods of each restoration, so that no gain is claimed over a weak rival.

Images are numpy arrays (h, w, 3) uint8, or (h, w) where they are grey. Each method is tried at several strengths, and whoever compares
takes the one with the best mean over the test set (`best`): the strength is chosen in its favour. OpenCV and scikit-image do the work,
and `pip install "ganforge[image]"` brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, UsageError, nearest
from ..pairs import MOST
from . import colouring, denoising, optics
from .known import Image, Known, Ways

Results = dict[str, Image]
TASKS: Mapping[str, Callable[[Image, Known], Ways]] = {
    "super-resolution": optics.enlarged,
    "denoise": denoising.denoised,
    "deblur": optics.deblurred,
    "dejpeg": denoising.deblocked,
    "low-light": denoising.brightened,
    "old-photo": denoising.refreshed,
    "inpaint": optics.inpainted,
    "colourise": colouring.coloured,
    "transfer": colouring.transferred,
}
"""Task -> its classical methods: (given, known) -> {name: what makes the result}."""


class Best(NamedTuple):
    """The method with the best mean, its results, and the means of all."""

    name: str
    score: float
    """Mean PSNR in decibels."""
    scores: dict[str, float]
    results: list[Image]
    """One for each given image."""


def restored(task: str, given: Image, known: Known | None = None, only: str = "") -> Results:
    """Every classical method of the task on one image, "unchanged" among them where sizes allow: {name: (h, w, 3) uint8}.

    only: the name of the one that is to work, "" for all. Raises as `ways`, and UsageError where OpenCV or scikit-image is missing.
    """
    return {name: make() for name, make in ways(task, given, known).items() if only in ("", name)}


def ways(task: str, given: Image, known: Known | None = None) -> Ways:
    """What is there for one image: {name: what makes (h, w, 3) uint8 of it}.

    Raises UsageError for a task without classical methods, and where something that they must know, or need, is missing; DataError for
    anything but (h, w, 3) or (h, w) uint8.
    """
    if task not in TASKS:
        raise UsageError(f"'{task}' has no classical methods.{nearest(task, TASKS)} There are some for {', '.join(TASKS)}.")
    if given.dtype != np.uint8 or given.ndim not in (2, 3) or given.ndim == 3 and given.shape[2] != 3 or 0 in given.shape:
        raise DataError(f"classical methods take (h, w, 3) or (h, w) uint8 images; got {given.shape} {given.dtype}.")
    image = given if given.ndim == 3 else np.repeat(given[:, :, None], 3, 2)
    return TASKS[task](np.ascontiguousarray(image), known or Known())


def best(
    task: str,
    given: Sequence[Image],
    truth: Sequence[Image],
    known: Sequence[Known] | None = None,
    progress: Callable[[int], None] = lambda done: None,
    without: Collection[str] = (),
) -> Best:
    """The classical method with the highest mean PSNR over a test set, which also chose its strength: pairs of given and true images.

    Of holes, only the pixels inside count. without: the names of those that do not take part.
    Raises DataError where the numbers of images differ or there is none, else as `restored`.
    """
    facts = [Known()] * len(given) if known is None else known
    if not len(given) == len(truth) == len(facts) or not len(given):
        raise DataError(f"each given image needs its true one, and there must be one; got {len(given)}, {len(truth)} and {len(facts)}.")
    found: dict[str, list[Image]] = {}
    for done, (image, fact) in enumerate(zip(given, facts, strict=True), 1):
        for name, make in ways(task, image, fact).items():
            if name not in without:
                found.setdefault(name, []).append(make())
        progress(done)
    means = {
        name: float(np.mean([psnr(a, b, fact.hole) for a, b, fact in zip(results, truth, facts, strict=True)]))
        for name, results in found.items()
        if len(results) == len(given)
    }
    name = max(means, key=lambda key: means[key])
    return Best(name, means[name], means, found[name])


def psnr(made: Image, truth: Image, hole: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in decibels of two uint8 images of one size, over the hole (h, w) if there is one; 100 at most.

    Without a bound, one image met exactly would decide a mean. Raises DataError for sizes that differ.
    """
    if made.shape != truth.shape:
        raise DataError(f"PSNR needs two images of one size; got {made.shape} and {truth.shape}.")
    off = (made.astype(np.float64) - truth) ** 2
    error = float(off[hole].mean() if hole is not None and hole.any() else off.mean())
    return float(min(10 * np.log10(255**2 / max(error, 1e-9)), MOST))
