"""Memory: what a training will need of it, found on two small steps, and what to do when there is too little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from .ema import Average
from .engine import iterate, seed_step
from .method import Batch, Method, moments
from .run import Run

WORKSPACE = 150_000_000
"""Bytes that torch's own kernels take; measured on a CPU, for networks of any size."""
SLACK = 1.5
"""What the way back takes for a moment beyond what was kept for it: 1.0 to 1.6 times the latter on five recipes."""


class Needs(NamedTuple):
    """Bytes that a training takes beside its data."""

    state: int
    """Weights, averages and moments: what a checkpoint holds, on the device and on the disk."""
    fixed: int
    """On the device whatever the batch: the state, and gradients."""
    each: int
    """For every example of a micro-batch: what is kept for the way back."""

    def training(self, examples: int) -> int:
        """Bytes on the device with micro-batches of so many examples."""
        return WORKSPACE + int(SLACK * (self.fixed + self.each * examples))


def needs(make: Callable[[], Method], batch: Batch) -> Needs:
    """What training a method will need, from a step on a small `batch` (n, ...), n even, and one on half of it.

    What automatic differentiation keeps is counted while it is kept; it grows with the examples along a line through these two.
    """
    n = len(next(iter(batch.values())))
    method = make()
    least = _kept(method, {key: value[: n // 2] for key, value in batch.items()})
    most = _kept(method, batch)
    each = max(0, most - least) * 2 // n
    weights = [*method.state_dict().values()]
    averages = [*Average(method.exports, 0.0).networks.values()]
    means = [v for net in averages for v in net.state_dict().values()]
    moments = [v for player in method.players for entry in player.optimizer.state.values() for v in entry.values() if isinstance(v, Tensor)]
    state = _bytes([*weights, *means, *moments])
    gradients = _bytes([*method.parameters()])
    return Needs(state, state + gradients + max(0, least - each * n // 2), each)


def _bytes(tensors: list[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _kept(method: Method, batch: Batch) -> int:
    """The most bytes that a step keeps at a time for its ways back, over steps of all stages until every player has moved."""
    own = {p.untyped_storage().data_ptr() for p in method.parameters()}
    counts: Counter[int] = Counter()
    now = most = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, most
            self.tensor, self.at, self.size = tensor, tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
            counts[self.at] += 1
            if counts[self.at] == 1 and self.at not in own:
                now += self.size
                most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            counts[self.at] -= 1
            if not counts[self.at] and self.at not in own:
                now -= self.size

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        seed_step(0, 0, 0)
        still = {f"{player.name}/loss" for player in method.players}
        for moment, all_stages in moments(method):
            still -= iterate(method, [batch], moment).keys()
            if all_stages and not still:
                break
    return most


def is_short(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in any of the words that torch, CUDA and Python have for it."""
    text = str(error).lower()
    said = ("not enough memory", "out of memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or isinstance(error, RuntimeError) and any(s in text for s in said)


def smaller(run: Run, world: int, fits: Callable[[Run], bool]) -> Run | None:
    """`run` with micro-batches at most half as large, the largest that `fits`; None if there are none. The batch stays as it is.

    A step's gradient stays the same, too, but for batch norm, whose statistics are of a micro-batch.
    """
    mine = run.batch // world
    sizes = (size for size in range(mine // run.accumulate // 2, 0, -1) if not mine % size)
    return next((less for size in sizes if fits(less := replace(run, accumulate=mine // size))), None)
