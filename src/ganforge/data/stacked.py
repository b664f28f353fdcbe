"""Stacked digits: three grey images as the colours of one, a set of a thousand modes that a model may miss."""

from __future__ import annotations

import torch

from ganforge.core.errors import DataError
from ganforge.data.imageset import ImageSet, generator


def stacked(source: ImageSet, count: int = 128_000, seed: int = 0) -> ImageSet:
    """`count` images (3, h, w) of three images each, (1, h, w) of `source`, drawn independently and with replacement.

    With ten classes of equal size they have 1,000 modes of equal weight, which `metrics.modes.stacked_modes` counts (stacked MNIST,
    Metz et al., 2017, arXiv:1611.02163, sec. 3.3.1; 128,000 of them as in PacGAN, arXiv:1712.04086, sec. 4.2). They have no
    labels and are never mirrored. A function of the images and the seed alone. Raises DataError for images that are not grey.
    """
    _, channels, height, width = source.images.shape
    if channels != 1:
        raise DataError(f"only grey images can be stacked as the colours of one; these have {channels} channels. Try --colour grey.")
    rows = torch.randint(len(source), (3 * count,), generator=generator(seed, "stacked", 0))
    return ImageSet(source.images[rows].reshape(count, 3, height, width))
