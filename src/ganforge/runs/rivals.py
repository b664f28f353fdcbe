"""What stands beside a model that makes images of images: its input as it is, and the best of what was there before networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError, UsageError
from ..data.degrade import presets
from ..data.pieces import cut
from ..data.source import plain
from ..methods import tasks
from ..metrics import classical
from ..metrics.classical import optics
from ..metrics.classical.colouring import mean_chroma, palette
from ..metrics.classical.known import Image, Known
from ..metrics.features import to_uint8
from ..metrics.likeness import LEAST
from ..recipes.translation import TranslationRecipe
from . import pictures
from .bar import Bar

PIECE = 192
"""Side of the pieces of the same images on which the classical method is chosen: there are many, at many strengths."""
LEARNT = 256
"""Pictures, at most, whose colours a classical method is told."""
LARGE = f"""biharmonic filling is not among the classical methods: one of the holes has more than {optics.LARGEST:,} pixels, and it would \
have to find them all at once. The best of the others stands beside the model."""
MENDS = {
    **dict.fromkeys(("clean", "web", "harsh"), "super-resolution"),
    **dict.fromkeys(("deblur", "gaussian-blur"), "deblur"),
    **dict.fromkeys(("grey", "hinted"), "colourise"),
    **dict.fromkeys(presets.HOLES, "inpaint"),
    "noise": "denoise",
    "jpeg": "dejpeg",
    "low-light": "low-light",
    "old-photo": "old-photo",
}
"""Degradation -> the task of `metrics.classical` whose methods mend it."""


class Example(NamedTuple):
    """given (1, c, h, w) and x (1, 3, h', w') in [-1, 1], what it is called, and what a classical method may know and is shown."""

    given: Tensor
    x: Tensor
    name: str
    known: Known
    seen: Tensor
    """(1, 3, h, w) uint8: the colours, or brightness, of what is given."""


class Rivals(NamedTuple):
    """By name what is put beside a model, "" for what there is not."""

    plain: str = ""
    """The input itself."""
    task: str = ""
    best: str = ""
    """The classical method of the task with the best mean PSNR, which may be to change nothing."""
    shared: Mapping[str, Any] = MappingProxyType({})
    """What it may know of all the images alike."""
    notes: tuple[str, ...] = ()

    def made(self, example: Example) -> dict[str, Tensor]:
        """What each makes of an example, (1, 3, h', w') uint8."""
        found = {self.plain: example.seen} if self.plain else {}
        if self.best and self.best != self.plain:
            known = replace(example.known, **self.shared)
            made = classical.restored(self.task, array(example.seen), known, self.best)[self.best]
            found[self.best] = torch.from_numpy(np.array(made)).permute(2, 0, 1)[None]
        return found


def task_of(recipe: Any) -> str:
    """The task of `metrics.classical` whose methods do what a model of this recipe does: that of its damage, "" where there is none."""
    if isinstance(getattr(recipe, "task", None), tasks.Task):
        return MENDS.get(damage_of(recipe), "")
    return "transfer" if isinstance(recipe, TranslationRecipe) else ""


def damage_of(recipe: Any) -> str:
    """The degradation that its model learnt to mend."""
    return str(getattr(recipe, "damage", "") or recipe.task.degrade).replace("_", "-")


def chosen(recipe: Any, method: Any, scale: int, data: Any, count: int) -> Rivals:
    """The input, where it is as large as the output, and the best classical method on pieces of these very images, if there is one.

    scale: how many times the model enlarges.
    """
    task, pieces, unchanged, large = task_of(recipe), [], "", False
    try:
        for example in examples(recipe, method, scale, data, count):
            if example.x.shape[2:] == example.given.shape[2:] and (example.given.shape[1] in (1, 3) or task == "colourise"):
                unchanged = "grey" if task == "colourise" else "unchanged"
            if not task:
                break
            large = large or example.known.hole is not None and not optics.solvable(example.known.hole)
            pieces.append(_piece(example))
        if not pieces:
            return Rivals(unchanged)
        shared = _shared(task, data)
        images, truth, known = zip(*pieces, strict=True)
        with Bar("classical methods", len(pieces)) as progress:
            facts = [replace(one, **shared) for one in known]
            found = classical.best(task, images, truth, facts, progress, without=("biharmonic",) if large else ())
        return Rivals(unchanged, task, found.name, shared, (LARGE,) if large else ())
    except UsageError as error:
        return Rivals(unchanged, notes=(f"no classical method beside it: {error}",))


def examples(recipe: Any, method: Any, scale: int, data: Any, count: int) -> Iterator[Example]:
    """Whole images, one after another, with the damage that each has every time; those too small to be judged are left out."""
    task, titles = task_of(recipe), data.titles() if hasattr(data, "titles") else ()
    for number, batch in enumerate(data.wholes(count)):
        if min(batch["x"].shape[2:]) < LEAST:
            continue
        h, w = (side // scale * scale for side in batch["x"].shape[2:])
        batch = {**batch, "x": batch["x"][:, :, :h, :w]}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            given = pictures.judged(method, batch)
            torch.manual_seed(number)
            told = _told(recipe, batch["x"]) if task and "given" not in batch else {}
        if any(big != scale * small for big, small in zip(batch["x"].shape[2:], given.shape[2:], strict=True)):
            larger = batch["x"].shape[3] // given.shape[3]
            raise DataError(f"the wanted images here are {larger} times as large as the given ones, and this model enlarges {scale} times.")
        hole = given[0, 3].numpy() > 0.5 if task == "inpaint" else None
        seen = given[:, :1] if task == "colourise" or given.shape[1] < 3 else given[:, :3]
        known = Known(scale=batch["x"].shape[3] // given.shape[3], hole=hole, **told)
        yield Example(given, batch["x"], plain(titles[number]) if titles else "", known, to_uint8(seen.expand(-1, 3, -1, -1)))


def _told(recipe: Any, x: Tensor) -> dict[str, Any]:
    """What is known of the damage to x (1, 3, h, w), drawn once more from where torch's random numbers stand."""
    damage = damage_of(recipe)
    if damage == "noise":
        return {"sigma": float(presets.noised(x, getattr(recipe, "sigma", "") or presets.SIGMA)[1])}
    if damage == "jpeg":
        return {"quality": int(presets.compressed(x, getattr(recipe, "quality", "") or presets.QUALITY)[1])}
    if damage in ("deblur", "gaussian-blur"):
        return {"kernel": presets.blurred(x, soft=damage != "deblur")[1][0].numpy()}
    return {}


def _shared(task: str, data: Any) -> dict[str, Any]:
    """What is known of all the images alike: the colours of those that one could have learnt from, or where the data has no such part, of
    the judged ones, in the rival's favour."""
    if task not in ("colourise", "transfer"):
        return {}
    wanted = [array(one[None]) for one in data.images[:LEARNT]]
    if task == "colourise":
        return {"chroma": mean_chroma(wanted)}
    given = [cut(photo, data.side, np.full(2, 0.5)).transpose(1, 2, 0) for photo in data.given.photos[:LEARNT]]
    return {"source": palette(given), "target": palette(wanted)}


def _piece(example: Example) -> tuple[Image, Image, Known]:
    """A piece of a given image, of the wanted one, and what is known: the middle, of holes the middle of what is missing."""
    given, x, known = example.given, example.x, example.known
    at = [side // 2 for side in given.shape[2:]]
    if known.hole is not None and known.hole.any():
        at = [int(places.mean()) for places in known.hole.nonzero()]
    side = PIECE // known.scale
    (top, bottom), (left, right) = ((max(0, min(m - side // 2, h - side)), h) for m, h in zip(at, given.shape[2:], strict=True))
    down, across = slice(top, min(top + side, bottom)), slice(left, min(left + side, right))
    larger = [slice(part.start * known.scale, part.stop * known.scale) for part in (down, across)]
    hole = None if known.hole is None else known.hole[down, across]
    return array(example.seen)[down, across], array(to_uint8(x))[larger[0], larger[1]], replace(known, hole=hole)


def array(images: Tensor) -> Image:
    """(1, 3, h, w) uint8 -> (h, w, 3)."""
    return images[0].permute(1, 2, 0).contiguous().numpy()
