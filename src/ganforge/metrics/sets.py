"""The images that a measure compares: read as they are, or brought to a model's size, with the faults that would spoil a number refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..core.errors import DataError
from ..data import builtin
from ..data.decode import Look
from ..data.develop import develop
from ..data.images import Images
from ..data.imageset import ImageSet
from ..data.layout import arrange
from ..data.opening import Unusable, probe
from ..data.read import read
from ..data.source import Arrays, Files, cache_folder
from ..data.store import Block
from .rows import sound


def as_is(path: str, cache: Path | None = None) -> ImageSet:
    """All images of a folder, archive or built-in set at the size they have, which must be one. Nothing is varied.

    A test part is brought to the colour or grey of the training part; where that takes its colour, the report has a `note` of it.
    Raises DataError for mixed sizes, a test part of another size, and where fewer than two images can be used; UsageError for a path
    that is not there.
    """
    where = Path(path).expanduser()
    if not where.exists() or (not where.is_dir() and not where.is_file()):
        if path in builtin.NAMES:
            return Images(path=path, flip="no").load(cache)
        return Images(path=path).load(cache)  # says what is wrong, and what is there
    source = read(where)
    if isinstance(source, Arrays):
        return _of_arrays(source)
    try:
        files = arrange(source, "auto")
        made = _decoded(path, files, None, cache_folder(cache))
        if files.test and len(files.test.names) > 1:
            look = Look(made.images.shape[3], made.images.shape[2], 3, "crop", "white", min_side=1)
            if (size := _first_size(files.test)) not in (None, (look.width, look.height)):
                raise _unequal(path, "its test part", (look.width, look.height), size)
            held = _decoded(path, files.test, look, cache_folder(cache))
            if held.images.shape[1] > made.images.shape[1]:
                made.report["note"] = f"the test part of {path} has colour, the training part has none: both are compared in grey"
            if held.images.shape[1] != made.images.shape[1]:
                held = _decoded(path, files.test, replace(look, channels=made.images.shape[1]), cache_folder(cache), as_asked=True)
            made.held_out = held
        return made
    finally:
        source.close()
        if source.test:
            source.test.close()


def like(path: str, shape: Sequence[int], options: Images | None = None, cache: Path | None = None) -> ImageSet:
    """The images at `path` brought to shape (c, h, w), cropped and laid on white unless `options` says otherwise; nothing is varied."""
    c, h, w = shape
    options = options or Images(path=path)
    images = replace(options, path=path, size=f"{w}x{h}", colour="grey" if c == 1 else "rgb", crop=0).load(cache)
    images.flip = False  # only now: what is held out depends on it, and the report still tells of it
    return images


def subset(images: ImageSet, count: int, seed: int = 0) -> ImageSet:
    """`count` of the images, or all if there are fewer: drawn without repetition as a function of `seed`, in their old order."""
    if count >= len(images):
        return ImageSet(images.images, images.labels, images.names)
    return _rows(images, shuffled(len(images), seed)[:count])


def disjoint(images: ImageSet, count: int, seed: int = 0, least: int = 0) -> tuple[ImageSet, ImageSet | None]:
    """(as `subset`, up to as many others): the second is None where fewer than `least` others are there; 0: fewer than `count`."""
    if len(images) - count < (least or count):
        return subset(images, count, seed), None
    order = shuffled(len(images), seed)
    return _rows(images, order[:count]), _rows(images, order[count : 2 * count])


def shuffled(count: int, seed: int) -> Tensor:
    """The numbers below `count` in an order that is a function of `seed`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _rows(images: ImageSet, rows: Tensor) -> ImageSet:
    rows = rows.sort().values
    return ImageSet(chosen(images.images, rows), None if images.labels is None else images.labels[rows], images.names)


class Chosen:
    """Some of many images (n, c, h, w), in the order of their numbers `which`: read batch by batch from where they lie, never copied whole.

    It has what the images of a set are asked for here, a length, a shape and parts; `[:]` reads all.
    """

    def __init__(self, images: Tensor, which: Tensor, flip: bool = False) -> None:
        self.images, self.which, self.flip = images, which, flip
        self.shape = (len(which), *images.shape[1:])

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, part: slice | Tensor) -> Tensor:
        found = self.images[self.which[part]]
        return found.flip(-1) if self.flip else found


def chosen(images: Tensor, which: Tensor, flip: bool = False) -> Tensor:
    """`Chosen` images, mirrored if `flip`, in the place of a tensor of them."""
    return cast(Tensor, Chosen(images, which, flip))


def apportioned(labels: Tensor, classes: int, count: int) -> Tensor:
    """(count,) classes in the proportions of labels (n,), by largest remainders, mixed evenly so that any start of it is fair, too."""
    share = torch.bincount(labels, minlength=classes).double() * count / len(labels)
    whole = share.floor().long()
    for c in (share - whole).argsort(descending=True, stable=True)[: count - int(whole.sum())].tolist():
        whole[c] += 1
    places = torch.cat([(torch.arange(int(k)) + 0.5) / k for k in whole if k])
    return torch.arange(classes).repeat_interleave(whole)[places.argsort(stable=True)]


def check_rows(rows: Tensor, whose: str, features: str) -> Tensor:
    """Feature rows (n, f) of images, as `rows.sound` has them."""
    return sound(rows, f"features {features}", f"images of {whose}")


def check_shapes(a: ImageSet, b: ImageSet, path_a: str, path_b: str) -> None:
    """Raise DataError where two sets differ in size: resizing one of them changes every number."""
    if a.images.shape[2:] != b.images.shape[2:]:
        raise _unequal(path_a, path_b, *((s.images.shape[3], s.images.shape[2]) for s in (a, b)))


def _unequal(path_a: str, path_b: str, a: Sequence[int], b: Sequence[int]) -> DataError:
    """For two sets, or parts of one, of different (width, height)."""
    sizes = [f"{width}x{height}" for width, height in (a, b)]
    return DataError(
        f"{path_a} holds {sizes[0]} images and {path_b} {sizes[1]}: how one is resized would decide the number. "
        f"Say to which size both are brought: --size {sizes[0]}."
    )


def _of_arrays(source: Arrays) -> ImageSet:
    made = ImageSet(torch.from_numpy(np.require(source.x, requirements=["C", "W"])))
    if source.y is not None and source.y.min(initial=0) >= 0:
        made.labels = torch.from_numpy(source.y)
        made.names = source.classes or tuple(str(k) for k in range(int(source.y.max(initial=-1)) + 1))
    if source.test is not None and len(source.test.x) > 1:
        made.held_out = _of_arrays(replace(source.test, test=None))
    return made


def _decoded(path: str, files: Files, look: Look | None, cache: Path, as_asked: bool = False) -> ImageSet:
    """Decode at the size of the first image that opens, in grey if they are, unless `look` decides; then make sure that all have it."""
    look = look or Look(*(_first_size(files) or (8, 8)), 3, "crop", "white", min_side=1)
    made = develop(files, look, False, not as_asked, partial(Block, cache=cache))
    if made.file:
        made.file.unlink()  # its pages stay until nothing holds them
    if made.facts["sizes"]["different"] > 1:
        least, most = made.facts["sizes"]["min"], made.facts["sizes"]["max"]
        raise DataError(
            f"the images of {path} have {made.facts['sizes']['different']:,} different sizes (sides from {least} to {most} pixels): how "
            f"they are resized would decide the number. Say to which size they are brought, for instance --size {max(8, least // 4 * 4)}."
        )
    labels = None if files.labels is None else torch.from_numpy(files.labels[made.kept])
    skipped = [*files.skipped, *made.skipped]
    report = {"skipped": skipped, "files": len(files.names) + len(files.skipped)}
    return ImageSet(torch.from_numpy(made.pixels), labels, files.classes if labels is not None else (), report=report)


def _first_size(files: Files) -> tuple[int, int] | None:
    for i in range(len(files.names)):
        try:
            with files.open(i) as stream:
                return probe(stream)[:2]
        except (OSError, Unusable):
            continue
    return None  # nothing opens: decoding says why
