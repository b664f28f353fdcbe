"""Does the model repeat its training images? The numbers, and a picture of the closest pairs for eyes to decide."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from ..core.errors import GanforgeError
from ..data.imageset import ImageSet
from ..metrics.features import Features
from ..metrics.memorisation import Memorisation, memorisation
from ..metrics.sets import chosen
from .case import Case
from .grid import grid
from .seen import Seen, of_set
from .sides import Drawn

PAIRS, COLUMNS = 24, 6
"""Pairs in the picture, and pairs in a row of it."""


def search(case: Case, eyes: Features, fake: Seen, train: Seen, unseen: Seen | None, notes: list[str]) -> Memorisation | None:
    """The check for copies of training images, with the numbers of images rather than of rows; None, and a note, where it fails."""
    try:
        found = memorisation(fake.rows, train.rows, unseen.rows if unseen else None, _mirrored(case, eyes, train))
    except GanforgeError as error:
        notes.append(f"copies were not looked for: {error}")
        return None
    return found._replace(fakes=fake.examples[found.fakes], neighbours=train.examples[found.neighbours])


def numbers(found: Memorisation, searched: int, held_out: bool) -> dict[str, float]:
    """What is told of it: name -> number. searched: training images among which; held_out: whether the unseen images are held out."""
    told = {f"closer than 99 % of {'unseen' if held_out else 'other training'} images": found.rate, "distance ratio": found.ratio}
    told |= {
        "z": found.z,
        "the same as a training image": float(found.copies),
        "duplicates in the data": float(found.duplicates + (0 if held_out else found.leaked)),
    }
    if held_out:
        told["held out but in the training data"] = float(found.leaked)
    return {**told, "training images searched": float(searched)}


def flips(case: Case) -> bool:
    """Whether the judged images are of a model that was trained on mirrored images, too."""
    return isinstance(case.judged, Drawn) and bool(case.whole.report.get("flip"))


def _mirrored(case: Case, eyes: Features, train: Seen) -> Tensor | None:
    """The features of the mirror images of `train`, where the model has seen those."""
    if not flips(case):
        return None
    return of_set(eyes, ImageSet(chosen(case.train.images, train.examples, flip=True)), f"mirror images of {case.data}").rows


def picture(case: Case, found: Memorisation) -> Image.Image:
    """The closest pairs, judged image left and nearest training image right, closest first."""
    fakes = case.judged.pixels(found.fakes[:PAIRS].tolist())
    trained = case.train.images[found.neighbours[:PAIRS]]
    if fakes.shape[1] != trained.shape[1]:  # one of two folders is grey
        fakes, trained = (images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3] for images in (fakes, trained))
    return grid(torch.stack([fakes, trained], 1).flatten(0, 1), columns=2 * COLUMNS)
