"""Pieces of images that belong together: cut at one place out of a pair, or out of an image and a mask of what is missing of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.data.degrade.masks import cut_out
from ganforge.data.imageset import Order, generator
from ganforge.data.pieces import Moves, PhotoSet, as_batch, corner, cut_at, drawn, moved, still
from ganforge.data.spec import DataSpec
from ganforge.data.whole import Album

SPOTS = 1024
"""Places in the holes of a mask that pieces are cut around, at most."""


@dataclass(eq=False, kw_only=True)
class PairSet(PhotoSet):
    """Pairs; `album` holds the wanted images."""

    brings = "pairs"
    given: Album
    """What each is made of, in the same order."""
    scale: int = 1
    """How much larger a wanted image is than the given one."""

    @property
    def spec(self) -> DataSpec:
        """What a network may know of x and of what is given."""
        return replace(super().spec, given=(3, self.side // self.scale, self.side // self.scale))

    def _pieces(self, rows: Sequence[int], moves: Moves, side: int) -> dict[str, NDArray[np.uint8]]:
        """Pieces of both at the same place, moved alike."""
        small, both = side // self.scale, []
        for i, row in enumerate(rows):
            down, right = corner(self.given.photos[row].shape, small, moves.places[i])
            both.append(self._both(row, side, (down, right), moves, i))
        x, given = (np.stack(part) for part in zip(*both, strict=True))
        return {"x": x, "given": given}

    def _both(self, row: int, side: int, at: tuple[int, int], moves: Moves, i: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The pieces of a pair with the upper left corner `at`, in pixels of what is given."""
        wanted = cut_at(self.album.photos[row], side, (at[0] * self.scale, at[1] * self.scale))
        return moved(wanted, moves, i), moved(cut_at(self.given.photos[row], side // self.scale, at), moves, i)

    def _whole(self, row: int) -> dict[str, Tensor]:
        both = {"x": self.album.photos[row], "given": self.given.photos[row]}
        return as_batch({key: np.array(photo)[None] for key, photo in both.items()}, torch.device("cpu"))

    def _titles(self) -> Sequence[str]:
        return self.given.names

    def _facts(self) -> tuple[Any, ...]:
        return *super()._facts(), self.scale

    def _prints(self) -> Iterator[bytes]:
        yield from (*self.album.prints, *self.given.prints)


@dataclass(eq=False, kw_only=True)
class MaskedSet(PairSet):
    """Images, and masks of what is missing of them, as large: `given` are the masks.

    Batches hold "given" (n, 4, h, w): the image with its holes filled plainly, and the holes, 0 or 1. While it learns an image gets a
    piece of any mask, in which something is missing; what is shown, and whole, has its own.
    """

    brings = "masks"
    hole: str = "white"
    """white or black: the colour of what is missing in the masks."""
    spots: dict[int, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)
    """By row, what `_spots` has found so far."""

    @property
    def spec(self) -> DataSpec:
        return replace(super().spec, given=(4, self.side, self.side))

    def _spots(self, row: int) -> NDArray[np.int64]:
        """Some places (k, 2) of a mask, row and column, in which something is missing; the middle where nothing is."""
        if row not in self.spots:
            missing = self._missing(self.given.photos[row])[0]
            (h, w), at = missing.shape, np.flatnonzero(missing)
            at = at[:: -(-len(at) // SPOTS)] if len(at) else np.array([h // 2 * w + w // 2])
            self.spots[row] = np.stack(divmod(at, w), 1)
        return self.spots[row]

    def _pieces(self, rows: Sequence[int], moves: Moves, side: int) -> dict[str, NDArray[np.uint8]]:
        """Of the images alone: they meet other masks than their own."""
        return PhotoSet._pieces(self, rows, moves, side)

    def _missing(self, mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(3, h, w) -> (1, h, w), true where something is missing; what is lighter than mid-grey counts as white."""
        return (mask.max(0, keepdims=True) >= 128) == (self.hole == "white")

    def _around(self, row: int, side: int, place: NDArray[np.float64]) -> tuple[int, int]:
        """The corner of a piece of the mask around a spot; the first number chooses the spot, the second where in the piece it lies."""
        spots, inner = self._spots(row), int(place[1] * side**2)
        spot, (_, h, w) = spots[int(place[0] * len(spots))], self.given.photos[row].shape
        each = zip(spot.tolist(), divmod(inner, side), (h, w), strict=True)
        down, right = (min(max(at - before, 0), max(length - side, 0)) for at, before, length in each)
        return down, right

    def _stream(self, size: int, seed: int, start: int, mine: slice, device: torch.device, of: str = "x") -> Iterator[dict[str, Tensor]]:
        order = Order(len(self), seed, "masks")
        for step, batch in enumerate(super()._stream(size, seed, start, mine, device, of), start):
            rows = order.positions(step * size + mine.start, mine.stop - mine.start).tolist()
            moves = drawn(size, seed, step, self.flip, self.turn, "masks").part(mine)
            cut = [cut_at(self.given.photos[row], self.side, self._around(row, self.side, moves.places[i])) for i, row in enumerate(rows)]
            masks = np.stack([self._missing(moved(piece, moves, i)) for i, piece in enumerate(cut)])
            yield {"x": batch["x"], "given": cut_out(batch["x"], torch.from_numpy(masks).to(device))}

    def _examples(self, count: int, side: int) -> dict[str, Tensor]:
        places = torch.rand(count, 2, generator=generator(0, "shown masks", 0), dtype=torch.float64).numpy()
        rows, moves = [k % len(self) for k in range(count)], still(count)
        both = [self._both(row, side, self._around(row, side, places[i]), moves, i) for i, row in enumerate(rows)]
        x, masks = (np.stack(part) for part in zip(*both, strict=True))
        return self._cut(x, masks)

    def _whole(self, row: int) -> dict[str, Tensor]:
        return self._cut(np.array(self.album.photos[row])[None], self.given.photos[row][None])

    def _titles(self) -> Sequence[str]:
        """Of the images; where one has several masks, that of the mask beside its own."""
        names, masks = self.album.names, self.given.names
        shared = {name for name, count in Counter(names).items() if count > 1}
        return [f"{name} ({mask})" if name in shared else name for name, mask in zip(names, masks, strict=True)]

    def _cut(self, x: NDArray[np.uint8], masks: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Images (n, 3, h, w) and masks of the same shape as batches have them."""
        batch = as_batch({"x": x}, torch.device("cpu"))
        holes = torch.from_numpy(np.stack([self._missing(mask) for mask in masks]))
        return {"x": batch["x"], "given": cut_out(batch["x"], holes)}

    def _facts(self) -> tuple[Any, ...]:
        return *super()._facts(), self.hole
