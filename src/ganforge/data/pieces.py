"""Pieces cut at random out of photographs: the endless, resumable stream of batches that restoration and translation learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.data.imageset import Order, generator, part_of, sent
from ganforge.data.spec import DataSpec
from ganforge.data.whole import Album

SHOWN = 128
"""Side that pieces which are looked at may have where photographs are large enough, in whole pieces."""


class Moves(NamedTuple):
    """Where n pieces are cut and how they are turned."""

    places: NDArray[np.float64]
    """(n, 2): down and right, from 0 to less than 1 of the room there is."""
    flips: NDArray[np.bool_]
    turns: NDArray[np.int64]
    """Quarter turns, 0 to 3."""

    def part(self, rows: slice) -> Moves:
        """The moves of these rows."""
        return Moves(self.places[rows], self.flips[rows], self.turns[rows])


@dataclass(eq=False, kw_only=True)
class PhotoSet:
    """Photographs of any size and how pieces are cut out of them."""

    album: Album
    """The photographs (3, h, w) uint8 that are wanted, in memory or mapped from a file."""
    side: int
    """Of the pieces, in pixels."""
    flip: bool = True
    """Whether batches mirror every other piece at random."""
    turn: bool = False
    """Whether batches turn pieces by quarters at random."""
    report: dict[str, Any] = field(default_factory=dict)
    """As of an ImageSet."""
    held_out: PhotoSet | None = None
    """Photographs that are never trained on, of the same kind."""
    brings: ClassVar[str] = ""
    """What there is beside the wanted images: "pairs" (the damaged ones), "masks" (what is missing of them), "" for nothing."""
    labels: ClassVar[None] = None
    names: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(self.album)

    @property
    def spec(self) -> DataSpec:
        """What a network may know. The count is that of pieces that do not overlap."""
        cells = ((photo.shape[1] // self.side or 1) * (photo.shape[2] // self.side or 1) for photo in self.album.photos)
        return DataSpec((3, self.side, self.side), count=sum(cells))

    @cached_property
    def images(self) -> Tensor:
        """(n, 3, side, side) uint8: the middle of every photograph."""
        return torch.from_numpy(self._pieces(range(len(self)), still(len(self), 0.5), self.side)["x"])

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that change with any pixel and any option that changes batches."""
        whole = hashlib.sha256(repr(self._facts()).encode())
        for one in self._prints():
            whole.update(one)
        return whole.hexdigest()[:32]

    def batches(
        self, size: int, *, seed: int, start: int = 0, rank: int = 0, world: int = 1, device: str | torch.device = "cpu"
    ) -> Iterator[dict[str, Tensor]]:
        """Endless batches {"x": (n, 3, side, side) float32 in [-1, 1]} from step `start` on; with "given" where the data brings one.

        `size` is the batch over all `world` processes; this one (`rank`) gets its contiguous n = size / world part. Photographs come in
        an endless row of permutations f(seed, epoch), one piece of each an epoch, and the places, flips and turns of step s are
        f(seed, s), so a run that starts at s sees what an uninterrupted one would. The global random state is neither read nor changed.
        Raises UsageError where size, start, rank and world do not fit together.
        """
        return self._stream(size, seed, start, part_of(size, start, rank, world), torch.device(device))

    def shown(self, count: int) -> dict[str, Tensor]:
        """Up to `count` fixed examples as batches have them, on the CPU, held-out ones if there are any; never mirrored or turned.

        All are of one size: several whole pieces where the photographs allow it. The middle of every photograph comes first.
        """
        return (self.held_out or self)._shown(count)

    def wholes(self, count: int) -> Iterator[dict[str, Tensor]]:
        """Up to `count` whole examples, one at a time, n = 1, else as batches have them, on the CPU; held-out ones if there are any."""
        part = self.held_out or self
        return (part._whole(row) for row in range(min(count, len(part))))

    def titles(self) -> Sequence[str]:
        """The file names of what is given in the examples of `wholes`."""
        return (self.held_out or self)._titles()

    def _titles(self) -> Sequence[str]:
        return self.album.names

    def _stream(self, size: int, seed: int, start: int, mine: slice, device: torch.device, of: str = "x") -> Iterator[dict[str, Tensor]]:
        order, step = Order(len(self), seed, f"photographs of {of}"), start
        while True:
            rows = order.positions(step * size + mine.start, mine.stop - mine.start).tolist()
            moves = drawn(size, seed, step, self.flip, self.turn, of).part(mine)
            yield as_batch(self._pieces(rows, moves, self.side), device)
            step += 1

    def _pieces(self, rows: Sequence[int], moves: Moves, side: int) -> dict[str, NDArray[np.uint8]]:
        """One piece of `side` pixels of the photograph of each row."""
        return {"x": np.stack([moved(cut(self.album.photos[row], side, moves.places[i]), moves, i) for i, row in enumerate(rows)])}

    def _whole(self, row: int) -> dict[str, Tensor]:
        return as_batch({"x": np.array(self.album.photos[row])[None]}, torch.device("cpu"))

    def _facts(self) -> tuple[Any, ...]:
        """What changes batches beside the pixels."""
        return type(self).__name__, self.side, self.flip, self.turn

    def _prints(self) -> Iterator[bytes]:
        yield from self.album.prints

    def _shown(self, count: int) -> dict[str, Tensor]:
        return self._examples(count, self._shown_side())

    def _shown_side(self) -> int:
        short = min(min(photo.shape[1:]) for photo in self.album.photos)
        return self.side * max(1, min(SHOWN, short) // self.side)

    def _examples(self, count: int, side: int) -> dict[str, Tensor]:
        room = [(photo.shape[1] // side or 1) * (photo.shape[2] // side or 1) for photo in self.album.photos]
        rows: list[int] = []
        places: list[NDArray[np.float64]] = []
        for round_ in range(max(room)):
            where = torch.rand(len(self), 2, generator=generator(0, "shown", round_), dtype=torch.float64).numpy()
            new = [row for row in range(len(self)) if round_ < room[row]]
            rows += new
            places += [where[row] if round_ else np.full(2, 0.5) for row in new]
            if len(rows) >= count:
                break
        rows, count = rows[:count], len(rows[:count])
        moves = still(count)._replace(places=np.array(places[:count]))
        return as_batch(self._pieces(rows, moves, side), torch.device("cpu"))


def drawn(size: int, seed: int, step: int, flip: bool, turn: bool, of: str) -> Moves:
    """The moves of a whole batch over all processes, a function of the arguments alone."""
    draw = generator(seed, f"pieces of {of}", step)
    places = torch.rand(size, 2, generator=draw, dtype=torch.float64).numpy()
    flips = (torch.rand(size, generator=draw) < 0.5).numpy() & flip
    turns = torch.randint(4, (size,), generator=draw).numpy() * turn
    return Moves(places, flips, turns)


def still(count: int, place: float = 0.0) -> Moves:
    """Moves that mirror and turn nothing."""
    return Moves(np.full((count, 2), place), np.zeros(count, bool), np.zeros(count, np.int64))


def corner(shape: Sequence[int], side: int, place: NDArray[np.float64]) -> tuple[int, int]:
    """Upper left corner of a piece of a photograph (c, h, w) at a place from (0, 0) to less than (1, 1)."""
    down, right = (int(part * (max(whole - side, 0) + 1)) for part, whole in zip(place.tolist(), shape[1:], strict=True))
    return down, right


def cut(photo: NDArray[np.uint8], side: int, place: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(c, h, w) -> (c, side, side); what a smaller photograph lacks is its mirror image."""
    return cut_at(photo, side, corner(photo.shape, side, place))


def cut_at(photo: NDArray[np.uint8], side: int, at: tuple[int, int]) -> NDArray[np.uint8]:
    """As `cut`, with the upper left corner at (row, column)."""
    piece = photo[:, at[0] : at[0] + side, at[1] : at[1] + side]
    lacks = [(0, side - length) for length in piece.shape[1:]]
    # with the border repeated, so that a photograph and the same at another scale still fit together
    return np.pad(piece, [(0, 0), *lacks], "symmetric") if any(more for _, more in lacks) else piece


def moved(piece: NDArray[np.uint8], moves: Moves, row: int) -> NDArray[np.uint8]:
    """(c, side, side), turned, then mirrored, as the row of the moves says."""
    piece = np.rot90(piece, int(moves.turns[row]), (1, 2))
    return piece[:, :, ::-1] if moves.flips[row] else piece


def as_batch(pieces: Mapping[str, NDArray[np.uint8]], device: torch.device) -> dict[str, Tensor]:
    """Pixels 0 to 255 -> [-1, 1], float32, on the device."""
    return {key: sent(torch.from_numpy(values), device).float().div_(127.5).sub_(1) for key, values in pieces.items()}
