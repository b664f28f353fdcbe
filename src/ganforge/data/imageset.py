"""The images of a run in memory, and the endless, resumable stream of batches made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganforge.core.errors import UsageError
from ganforge.data.spec import DataSpec


@dataclass(eq=False)
class ImageSet:
    """Images with their classes, if any, and how batches vary them."""

    images: Tensor
    """(n, c, h, w) uint8, in memory or mapped from a file."""
    labels: Tensor | None = None
    """(n,) int64, or None."""
    names: tuple[str, ...] = ()
    """Class names in the order of their numbers."""
    flip: bool = False
    """Whether batches mirror every other image at random."""
    crop: int = 0
    """Random shift of batches in pixels."""
    report: dict[str, Any] = field(default_factory=dict)
    """JSON-able: files, usable, skipped, reasons, modes, sizes, class_counts, duplicates, notes and more."""
    held_out: ImageSet | None = None
    """The test part, treated alike but never varied, where the source has one."""
    show_held: bool = False
    """Whether batches bring held-out images along, for methods that ask the discriminator about them."""
    balance: bool = False
    """Whether batches draw every class equally often."""
    _near: dict[torch.device, Tensor] = field(default_factory=dict, init=False, repr=False)
    """The images on a GPU with room for them, sent there once for all streams of batches."""

    @property
    def spec(self) -> DataSpec:
        """What a network may know of these images."""
        classes = 0 if self.labels is None else len(self.names)
        return DataSpec(tuple(self.images.shape[1:]), classes, self.names if classes else (), len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that change with any pixel, label, or the flip and crop options."""
        whole = hashlib.sha256(repr((tuple(self.images.shape), self.names, self.flip, self.crop)).encode())
        for first in range(0, len(self.images), 4096):
            whole.update(self.images[first : first + 4096].contiguous().numpy().data)
        if self.labels is not None:
            whole.update(self.labels.contiguous().numpy().data)
        return whole.hexdigest()[:32]

    def batches(
        self, size: int, *, seed: int, start: int = 0, rank: int = 0, world: int = 1, device: str | torch.device = "cpu"
    ) -> Iterator[dict[str, Tensor]]:
        """Endless batches {"x": (n, c, h, w) float32 in [-1, 1], "y": (n,) int64 if labelled} from step `start` on.

        `size` is the batch over all `world` processes; this one (`rank`) gets its contiguous n = size / world part. Step s covers
        positions [s size, (s + 1) size) of an endless row of permutations f(seed, epoch), and its flips and shifts are f(seed, step),
        so a run that starts at s sees what an uninterrupted one would. The global random state is neither read nor changed.
        With `show_held`, and a held-out part that has classes if this has, "held" (n, c, h, w) and "held_y" (n,) of it, never varied.
        With `balance` the row goes round the classes instead: see `BalancedOrder`.
        Raises UsageError where size, start, rank and world do not fit together.
        """
        return self._stream(size, seed, start, part_of(size, start, rank, world), torch.device(device))

    def _stream(self, size: int, seed: int, start: int, mine: slice, device: torch.device) -> Iterator[dict[str, Tensor]]:
        order = BalancedOrder(self.labels, seed) if self.balance and self.labels is not None else Order(len(self.images), seed)
        images, held = self._on(device), self._held_stream(size, seed, start, mine, device)
        labels = None if self.labels is None else self.labels.to(device)
        step = start
        while True:
            rows = order.positions(step * size + mine.start, mine.stop - mine.start)
            flips, shifts = variation(size, seed, step, self.flip, self.crop)
            x = sent(images[sent(rows, images.device)], device)
            x = varied(x, None if flips is None else sent(flips[mine], device), None if shifts is None else sent(shifts[mine], device))
            batch = {"x": x.float().div_(127.5).sub_(1)}
            if labels is not None:
                batch["y"] = labels[sent(rows, device)]
            yield batch | next(held, {})
            step += 1

    def _held_stream(self, size: int, seed: int, start: int, mine: slice, device: torch.device) -> Iterator[dict[str, Tensor]]:
        held = self.held_out
        if self.show_held and held is not None and len(held) and (self.labels is None or held.labels is not None):
            for batch in held._stream(size, seed, start, mine, device):
                yield {"held": batch["x"]} | ({"held_y": batch["y"]} if self.labels is not None else {})

    def _on(self, device: torch.device) -> Tensor:
        """The images on the device if it is a GPU with room for them, else where they are."""
        device = torch.empty(0, device=device).device  # cuda is the same as cuda:0
        if device not in self._near:
            if not _room(self.images.numel(), device):
                return self.images
            self._near[device] = self.images.to(device)
        return self._near[device]


def part_of(size: int, start: int, rank: int, world: int) -> slice:
    """The rows of a batch of `size` over all processes that are this one's. Raises UsageError where these do not fit together."""
    if size < 1 or size % world:
        raise UsageError(f"the batch must divide over {world} processes; got {size}. Nearest: {max(1, round(size / world)) * world}.")
    if start < 0 or not 0 <= rank < world:
        raise UsageError(f"start must be at least 0 and rank from 0 to {world - 1}; got start {start} and rank {rank}.")
    return slice(rank * (size // world), (rank + 1) * (size // world))


class Order:
    """An endless row of permutations of n examples, one an epoch, each a function of (seed, epoch, purpose) alone."""

    def __init__(self, n: int, seed: int, purpose: str = "order") -> None:
        self.n, self.seed, self.purpose = n, seed, purpose
        self.known: dict[int, Tensor] = {}

    def positions(self, first: int, count: int) -> Tensor:
        """Examples (count,) at positions first, first + 1, ... of the row."""
        parts = []
        while count > 0:
            epoch, offset = divmod(first, self.n)
            take = min(count, self.n - offset)
            parts.append(self.epoch(epoch)[offset : offset + take])
            first, count = first + take, count - take
        return torch.cat(parts)

    def epoch(self, number: int) -> Tensor:
        """The permutation (n,) of one epoch; the latest few are kept."""
        if number not in self.known:
            self.known = {k: v for k, v in self.known.items() if k == number - 1}
            self.known[number] = torch.randperm(self.n, generator=generator(self.seed, self.purpose, number))
        return self.known[number]


class BalancedOrder:
    """An endless row of examples in which every class comes equally often: rounds of one example a class, in a shuffled order.

    labels (n,). Within a class all examples come before one comes again. A function of (seed, position) alone.
    """

    def __init__(self, labels: Tensor, seed: int) -> None:
        self.rows = [(labels == c).nonzero().flatten() for c in labels.unique()]
        self.orders = [Order(len(rows), seed + number) for number, rows in enumerate(self.rows)]
        self.seed = seed

    def positions(self, first: int, count: int) -> Tensor:
        """Examples (count,) at positions first, first + 1, ... of the row."""
        classes = len(self.rows)
        begin, end = first // classes, -(-(first + count) // classes)
        drawn = [rows[order.positions(begin, end - begin)] for rows, order in zip(self.rows, self.orders, strict=True)]
        rounds = torch.stack(drawn, 1)  # (rounds, classes)
        shuffled = [torch.randperm(classes, generator=generator(self.seed, "round", number)) for number in range(begin, end)]
        return rounds.gather(1, torch.stack(shuffled)).flatten()[first - begin * classes :][:count]


def generator(seed: int, purpose: str, number: int) -> torch.Generator:
    """A random generator that is a function of its arguments alone."""
    mixed = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(mixed[:8], "little") >> 1)


def variation(size: int, seed: int, step: int, flip: bool, crop: int) -> tuple[Tensor | None, Tensor | None]:
    """Flips (size,) bool and shifts (size, 2) from -crop to crop of a whole batch over all processes."""
    if not flip and not crop:
        return None, None
    draw = generator(seed, "variation", step)
    flips = torch.rand(size, generator=draw) < 0.5
    shifts = torch.randint(-crop, crop + 1, (size, 2), generator=draw)
    return flips if flip else None, shifts if crop else None


def varied(x: Tensor, flips: Tensor | None, shifts: Tensor | None) -> Tensor:
    """(n, c, h, w) -> the same, shifted by (n, 2) pixels down and right with reflected borders, then mirrored where flips (n,) says so."""
    if shifts is not None:
        n, _, h, w = x.shape
        rows = _reflected(torch.arange(h, device=x.device) - shifts[:, :1], h)
        columns = _reflected(torch.arange(w, device=x.device) - shifts[:, 1:], w)
        each = torch.arange(n, device=x.device)[:, None, None]
        x = x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
    if flips is not None:
        x = torch.where(flips[:, None, None, None], x.flip(3), x)
    return x


def _reflected(index: Tensor, side: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= side, 2 * (side - 1) - index, index)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device. To a GPU it goes from pinned memory, so that nothing waits for its arrival."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _room(size: int, device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    return 3 * size <= torch.cuda.mem_get_info(device)[0]
