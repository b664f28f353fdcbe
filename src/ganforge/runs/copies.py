"""Does the model repeat its training images? The numbers, and a picture of the closest pairs for eyes to decide."""

from __future__ import annotations

import torch
from PIL import Image

from ..metrics.memorisation import Memorisation
from .case import Case
from .grid import grid

PAIRS, COLUMNS = 24, 6
"""Pairs in the picture, and pairs in a row of it."""


def numbers(found: Memorisation) -> dict[str, float]:
    """What is told of it: name -> number."""
    told = {"closer than 99 % of unseen images": found.rate, "distance ratio": found.ratio, "z": found.z}
    return told | {"duplicates in the data": float(found.duplicates), "held out but in the training data": float(found.leaked)}


def picture(case: Case, found: Memorisation) -> Image.Image:
    """The closest pairs, judged image left and nearest training image right, closest first."""
    fakes = case.judged.pixels(found.fakes[:PAIRS].tolist())
    trained = case.train.images[found.neighbours[:PAIRS]]
    if fakes.shape[1] != trained.shape[1]:  # one of two folders is grey
        fakes, trained = (images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3] for images in (fakes, trained))
    return grid(torch.stack([fakes, trained], 1).flatten(0, 1), columns=2 * COLUMNS)
