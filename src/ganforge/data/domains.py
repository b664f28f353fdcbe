"""Two sets of images without pairs, for unpaired translation: what is given, and what it is to become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.core.errors import DataError
from ganforge.data import layouts
from ganforge.data.decode import Look
from ganforge.data.hold import some
from ganforge.data.pairs import WAYS, check_sizes
from ganforge.data.photos import PhotoOptions, check_choice, opened, reported
from ganforge.data.pieces import PhotoSet
from ganforge.data.source import Files, cache_folder, plain
from ganforge.data.spec import DataSpec
from ganforge.data.whole import Decoded, whole


@dataclass(frozen=True, kw_only=True)
class Domains(PhotoOptions):
    """Two sets of images, such as horses and zebras: how one kind is turned into the other is learnt without pairs."""

    direction: str = "AtoB"
    """AtoB: A is given and B is wanted, or BtoA. A is the folder A or trainA, else the first one by name."""
    size: int = 64
    """Side of the pieces in pixels, from 8 to 1024. Images of less than half of it are skipped; what smaller ones lack is mirrored."""
    load_size: int = 0
    """First bring every image to this side, as CycleGAN does with 286 and pieces of 256. 0: leave images as large as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("direction", self.direction, WAYS)
        check_sizes(self.size, self.load_size)

    def load(self, cache: Path | None = None) -> DomainSet:
        """Find the two sets and decode them. What does not fit into memory is kept in `cache`.

        Raises UsageError for a path that is not there, DataError where there are not two sets or one cannot be used, StorageError for a
        full disk.
        """
        with opened(self.path) as files:
            layout = layouts.domains_in(files)
            if layout is None or not all(layout.train):
                raise DataError(_none(self.path, files, layout))
            used = sorted([*layout.train[0], *layout.train[1], *layout.test[0], *layout.test[1]])
            side, least = self.load_size, -(-self.size // 2)
            look = Look(side, side, 3, "squash", min_side=least) if side else Look(0, 0, 3, "whole", min_side=least)
            made = whole(files.subset(used), look, cache_folder(cache))
        return _made(self, files, layout, used, made)


@dataclass(eq=False, kw_only=True)
class DomainSet(PhotoSet):
    """Two sets; `album` holds images of the kind that is wanted."""

    given: PhotoSet
    """Images of the kind that is given."""

    @property
    def spec(self) -> DataSpec:
        """What a network may know of x and of what is given."""
        return replace(super().spec, given=(3, self.side, self.side))

    def _stream(self, size: int, seed: int, start: int, mine: slice, device: torch.device, of: str = "x") -> Iterator[dict[str, Tensor]]:
        """Batches of either set, each in its own order."""
        wanted, given = super()._stream(size, seed, start, mine, device, of), self.given._stream(size, seed, start, mine, device, "given")
        for x, other in zip(wanted, given, strict=True):
            yield {"x": x["x"], "given": other["x"]}

    def _shown(self, count: int) -> dict[str, Tensor]:
        side = min(self._shown_side(), self.given._shown_side())
        x, given = self._examples(count, side)["x"], self.given._examples(count, side)["x"]
        both = min(len(x), len(given))
        return {"x": x[:both], "given": given[:both]}

    def _prints(self) -> Iterator[bytes]:
        yield from (*self.album.prints, b"given", *self.given.album.prints)


def _none(path: str, files: Files, layout: layouts.Domains | None) -> str:
    """Why there are not two sets, and what there is."""
    if layout:
        empty = layout.a if not layout.train[0] else layout.b
        return f"{path}: {empty} holds no image to learn from. Expected images of both kinds: {layouts.TWO_SETS}"
    pairs = layouts.pairs_in(files)
    instead = f" But there are {pairs.sentence()}: --recipe pix2pix" if pairs and pairs.likely else ""
    return f"{path}: no two sets are to be seen. {layouts.seen(files)} Expected {layouts.TWO_SETS}{instead}"


def _made(options: Domains, files: Files, layout: layouts.Domains, used: list[int], made: Decoded) -> DomainSet:
    of_b, tests = ({*of[0]} | {*of[1]} for of in ((layout.train[1], layout.test[1]), layout.test))
    kind = np.array([used[file] in of_b for file in made.kept], np.int64)
    for number, called in enumerate((layout.a, layout.b)):
        if not (kind == number).any():
            first = next((f"; {plain(s.file)}: {s.reason}" for s in made.skipped if (files.names.index(s.file) in of_b) == number), "")
            raise DataError(f"{options.path}: no image of {called} can be used{first}. Expected images of both kinds.")
    alike = made.album.alike(options.flip == "yes")
    own = np.array([used[file] in tests for file in made.kept], bool)
    brought = all(own[kind == number].any() and not own[kind == number].all() for number in (0, 1))
    out = own if brought else some(made.album.marks, alike.near, options.hold_out, kind)
    if not all(out[kind == number].any() for number in (0, 1)):
        out[:] = False  # one kind is a single image and its copies
    notes = [layout.sentence()]
    of = [{one for one, k in zip(made.album.prints, kind.tolist(), strict=True) if k == number} for number in (0, 1)]
    if both := len(of[0] & of[1]):
        notes.append(f"{both:,} images lie in both sets, so nothing tells these apart")
    way: dict[str, Any] = {"side": options.size, "flip": options.flip == "yes", "turn": options.turn}
    order = (0, 1) if options.direction == "AtoB" else (1, 0)
    rows = [[np.flatnonzero((kind == number) & (out == aside)).tolist() for number in order] for aside in (False, True)]
    counts = (len(rows[0][0]) + len(rows[0][1]), len(rows[1][0]) + len(rows[1][1]))
    report = reported(options, files, made, files.skipped, made.album, counts, notes, options.size, "images of two kinds")
    sets = [
        DomainSet(album=made.album.only(wanted), given=PhotoSet(album=made.album.only(given), **way), **way)
        for given, wanted in rows
        if given and wanted
    ]
    sets[0].report, sets[0].held_out = report, sets[1] if len(sets) > 1 else None
    return sets[0]
