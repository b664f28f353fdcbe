"""Images of which only some have a class: batches hold any images beside as many labelled ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from ganforge.core.errors import DataError
from ganforge.data.imageset import ImageSet, generator
from ganforge.data.spec import DataSpec


@dataclass(eq=False)
class PartlyLabelled(ImageSet):
    """All images, whose own `labels` are None, and those with a class once more."""

    known: ImageSet = field(kw_only=True)
    """The labelled ones."""

    @property
    def spec(self) -> DataSpec:
        """Batches hold no y, so there are no classes to ask a generator for; `names` are those that a classifier can learn."""
        return replace(super().spec, names=self.known.names)

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that change with any image, and with which of them are labelled and how."""
        whole = replace(self.known, images=self.images, labels=None)
        return hashlib.sha256((whole.fingerprint + self.known.fingerprint).encode()).hexdigest()[:32]

    def batches(
        self, size: int, *, seed: int, start: int = 0, rank: int = 0, world: int = 1, device: str | torch.device = "cpu"
    ) -> Iterator[dict[str, Tensor]]:
        """As `ImageSet.batches`, but {"x": (n, c, h, w), any images, "known": (n, c, h, w), labelled ones, "kind": (n,), their classes}."""
        where = {"seed": seed, "start": start, "rank": rank, "world": world}
        some = self.known.batches(size, device=device, **where)
        for batch, labelled in zip(super().batches(size, device=device, **where), some, strict=False):
            yield {**batch, "known": labelled["x"], "kind": labelled["y"]}


def partly_labelled(data: ImageSet, unlabelled: str, per_class: int, seed: int) -> PartlyLabelled:
    """`data` without the labels of the class called `unlabelled`, and with those of `per_class` images of each other class; 0: with all.

    Which images keep theirs follows from (seed, class), whatever else is trained. Raises DataError for data without two classes, each
    with an image.
    """
    if data.labels is None:
        raise DataError("semi-supervised learning needs the class of some images, and this data has none: put them into sub-folders.")
    labels = torch.full_like(data.labels, -1)
    kept: list[Tensor] = []
    names: list[str] = []
    for number, name in enumerate(data.names):
        rows = (data.labels == number).nonzero().flatten()
        if name == unlabelled or not len(rows):
            continue
        order = torch.randperm(len(rows), generator=generator(seed, "labelled", number))
        rows = rows[order[: per_class or len(rows)]].sort().values
        labels[rows] = len(names)
        names.append(name)
        kept.append(rows)
    if len(names) < 2:
        told = f"apart from '{unlabelled}' it has {len(names)}" if unlabelled in data.names else f"this data has {len(names)}"
        raise DataError(f"semi-supervised learning needs images of at least two classes; {told}. Give each class a sub-folder of its own.")
    rows = torch.cat(kept).sort().values
    whole = len(rows) == len(data)
    known = replace(data, images=data.images if whole else data.images[rows], labels=labels[rows], names=tuple(names), held_out=None)
    note = f"{len(rows):,} of {len(data):,} images keep their label, {min(map(len, kept)):,} to {max(map(len, kept)):,} a class"
    report = data.report | {"notes": [*data.report.get("notes", ()), note]}
    return PartlyLabelled(
        data.images, None, (), data.flip, data.crop, report, data.held_out, show_held=data.show_held, balance=False, known=known
    )
