"""What is judged: a model that draws on demand, or images that lie there. Either gives pixels by number, so that few are ever in memory."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from ..core import recipe as recipes_json
from ..core.errors import DataError, GanforgeError
from ..data import where
from ..data.images import Images
from ..data.imageset import ImageSet
from ..metrics import sets
from ..metrics.features import to_uint8
from ..recipes import find
from .folder import Folder
from .model import Model

log = logging.getLogger("ganforge.data")
APART = 10_000_000
"""Distance between the first seeds of two evaluations, so that --seed 1 sees other images than --seed 0."""
CHUNK = 256
"""Images in memory at a time."""


class Side(Protocol):
    """Images by number, with their classes where they have some."""

    name: str
    count: int
    labels: Tensor | None
    names: tuple[str, ...]
    """Of the classes, in the order of their numbers."""

    def pixels(self, which: Sequence[int]) -> Tensor: ...


class Stored:
    """Images of a set."""

    def __init__(self, name: str, images: ImageSet) -> None:
        self.name, self.images, self.count, self.labels = name, images, len(images), images.labels
        self.names = images.names

    def pixels(self, which: Sequence[int]) -> Tensor:
        """(n, c, h, w) uint8."""
        return self.images.images[torch.as_tensor(list(which))]


class Drawn:
    """Images of a model: number i comes from seed `seed` * 10,000,000 + i; classes as given, else each seed draws its own."""

    def __init__(self, name: str, model: Model, count: int, seed: int, labels: Tensor | None) -> None:
        self.name, self.model, self.count, self.labels = name, model, count, labels
        self.first, self.names = seed * APART, model.spec.names

    def pixels(self, which: Sequence[int]) -> Tensor:
        """(n, c, h, w) uint8, drawn now. Raises DataError where the generator gives NaN."""
        classes = None if self.labels is None else self.labels[torch.as_tensor(list(which))].tolist()
        drawn = cast(Tensor, self.model.generate([self.first + i for i in which], classes, output="tensor"))
        return to_uint8(drawn, self.name)

    def ignores_classes(self) -> bool:
        """Whether one latent gives one image whichever class is asked for."""
        drawn = []
        for wanted in range(min(2, self.model.spec.classes)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # for generators that draw noise of their own
                drawn.append(cast(Tensor, self.model.generate([0], wanted, output="tensor")))
        return len(drawn) < 2 or torch.equal(*drawn)


def is_model(path: Path) -> bool:
    """Whether a folder is a run or a model, and not images."""
    return (path / "recipe.json").is_file() or (path / "config.json").is_file() and (path / "model.safetensors").is_file()


def data_of(model: Model, data: str, run: Path, code: Collection[str] = ()) -> tuple[ImageSet, str]:
    """The images at `data`, else those the model was trained on, brought to its shape; and their path.

    Raises DataError where the training data is gone, and as `Images.load` does.
    """
    options = _data_options(model.facts, code)
    if options:
        options = replace(options, balance=False, strict=False)
    if data:
        return _given(data, model.spec.shape, options, run, code), data
    if options is None:
        raise DataError("the model does not say what it was trained on. Say what to compare with: --data FOLDER")
    kept = Folder(run).json("plan.json").get("places", {}) if (run / "plan.json").is_file() else {}
    try:
        found, images = where.again(options, lambda place: sets.like(place.path, model.spec.shape, place), kept, run, "")
        return images, found.path
    except GanforgeError as error:
        raise DataError(f"the training data of this model cannot be read: {error} Say where it is now: --data FOLDER") from error


def _given(data: str, shape: Sequence[int], options: Images | None, run: Path, code: Collection[str]) -> ImageSet:
    """The images that a user names. A share is held out as in training only where they are those of the run."""
    if options and options.hold_out:
        try:
            images = sets.like(data, shape, options)
            if trained_on(run, data, images, code):
                return images
        except DataError as error:  # it may be the share alone that does not fit them
            log.debug("%s are not the data of %s: %s", data, run, error)
        options = replace(options, hold_out=0.0)
    return sets.like(data, shape, options)


def trained_on(run: Path, path: str, images: ImageSet, code: Collection[str] = ()) -> bool | None:
    """Whether the images, loaded from `path`, are those that the run was trained on; None where that cannot be told.

    Recipes may bring images to their models in a way of their own: where these differ, they are loaded as the recipe does.
    """
    if not all((run / name).is_file() for name in ("data_report.json", "recipe.json")):
        return None
    before, content = Folder(run).json("data_report.json"), Folder(run).json("recipe.json")
    varied = replace(images, flip=bool(before.get("flip")), crop=int(before.get("crop", 0)))
    if varied.fingerprint == before.get("fingerprint"):
        return True
    try:
        recipe = recipes_json.rebuild(find(content["recipe"], code), content["fields"], code)
        again = replace(recipe, data=replace(recipe.data, path=path)).dataset()
    except (GanforgeError, KeyError, TypeError, AttributeError) as error:
        log.debug("the data of %s cannot be compared: %s", run, error)
        return None
    return bool(again.fingerprint == before.get("fingerprint"))


def _data_options(facts: Mapping[str, Any], code: Collection[str]) -> Images | None:
    fields = facts.get("fields", {}).get("data")
    return recipes_json.rebuild(Images, fields, code) if isinstance(fields, Mapping) and "path" in fields else None


def drawn_like(name: str, model: Model, data: ImageSet | None, count: int, seed: int) -> tuple[Drawn, str, list[str]]:
    """`count` images of a model, of classes in the proportions of `data`; how they were chosen; and notes on what could not be done."""
    classes = model.spec.classes
    if not classes:
        return Drawn(name, model, count, seed, None), "", []
    if data is None or data.labels is None or data.names != model.spec.names:
        note = "the data has not the classes of the model, so every generated image is of a class drawn evenly"
        return Drawn(name, model, count, seed, None), "drawn evenly", [note]
    return Drawn(name, model, count, seed, sets.apportioned(data.labels, classes, count)), "asked for as in the data", []
