"""The outer loop: data in, numbers and checkpoints out. Knows nothing about any particular GAN."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from . import checkpoint, parallel
from .ema import Average
from .engine import iterate, seed_step
from .errors import DivergedError
from .log import Meter
from .method import Batch, Method, Progress
from .run import Run

TICKS = 200
"""How often numbers are read during a run; a fixed share of the budget, so that the history does not depend on the clock."""

STOP_EVERY = 16
"""Steps between the votes of several processes on whether to stop."""


class Tick(NamedTuple):
    """What watchers learn, TICKS times in a run."""

    now: Progress
    numbers: Mapping[str, float]
    seconds: float
    """Training time so far, over all sittings."""
    average: Average


class Watcher(Protocol):
    """Looks on: metrics, pictures, the live line. Only the first of several processes has one."""

    def step(self, now: Progress) -> None: ...
    def tick(self, tick: Tick) -> None: ...
    def saved(self, tick: Tick) -> None: ...


class Data(Protocol):
    """An endless source of batches; `start` is a step, so that a resumed run sees what the uninterrupted one would have."""

    def batches(self, size: int, *, seed: int, start: int, rank: int, world: int, device: str) -> Iterator[Batch]: ...


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train(
    method: Method,
    data: Data,
    run: Run,
    *,
    folder: Path,
    device: torch.device,
    watcher: Watcher | None,
    stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train until `run.examples` are seen or `stop()`; continues from the checkpoint in `folder` if there is one.

    `run` is resolved: examples, precision and layout are set. Returns where it stopped; a checkpoint of that moment is in
    `folder`. Raises DivergedError at the next reading after a loss stops being finite, before any checkpoint is written.
    """
    rank, world = parallel.world()
    average, meter = Average(method.exports, run.ema), Meter()
    step, before = _resume(folder, method, average, meter)
    began = saved_at = time.monotonic()
    total_steps = math.ceil(run.examples / run.batch)
    batches = data.batches(run.batch, seed=run.seed, start=step, rank=rank, world=world, device=str(device))
    now = Progress(step, step * run.batch, run.examples)
    if step and watcher:  # a kill between a checkpoint and what is made from it leaves the latter old or missing
        watcher.saved(Tick(now, {}, before, average))
    while step < total_steps:
        seed_step(run.seed, rank, step)
        meter.add(iterate(method, micro_batches(next(batches), run.accumulate), now, autocast=DTYPES[run.precision]))
        step += 1
        now = Progress(step, step * run.batch, run.examples)
        average.update(now, run.batch)
        if watcher:
            watcher.step(now)

        due = is_tick(step, total_steps)
        last = step == total_steps or ((world == 1 or step % STOP_EVERY == 0) and parallel.any_process(stop()))
        if not (due or last):
            continue
        tick = Tick(now, _finite(meter.read(), now), before + time.monotonic() - began, average)
        if due:
            meter.clear()
            if watcher:
                watcher.tick(tick)
        if last or parallel.any_process(time.monotonic() - saved_at > 60 * run.save_minutes):
            if rank == 0:
                facts = {"step": step, "seconds": tick.seconds}
                checkpoint.write(folder, now.seen, method, average, facts, meter.tensors())
            if watcher:
                watcher.saved(tick)
            saved_at = time.monotonic()
            parallel.barrier()
        if last:
            break
    return now


def _resume(folder: Path, method: Method, average: Average, meter: Meter) -> tuple[int, float]:
    """(step, seconds trained before); (0, 0.0) for a new run."""
    found = checkpoint.read(folder)
    if found is None:
        parallel.share(method)
        for network in average.networks.values():
            parallel.share(network)
        return 0, 0.0
    tensors, state = found
    checkpoint.restore(method, average, tensors, state)
    meter.add_all({key.removeprefix("meter/"): value for key, value in tensors.items() if key.startswith("meter/")})
    return state["step"], state["seconds"]


def is_tick(step: int, total_steps: int) -> bool:
    """True for TICKS evenly spread steps of a run, the last one among them."""
    return step * TICKS // total_steps != (step - 1) * TICKS // total_steps


def micro_batches(batch: Batch, parts: int) -> list[Batch]:
    """The batch cut into `parts` along its first axis."""
    if parts == 1:
        return [batch]
    cut: dict[str, tuple[Tensor, ...]] = {key: value.chunk(parts) for key, value in batch.items()}
    return [{key: pieces[i] for key, pieces in cut.items()} for i in range(parts)]


def _finite(numbers: dict[str, float], now: Progress) -> dict[str, float]:
    wrong = [key for key, number in numbers.items() if not math.isfinite(number)]
    if wrong:
        raise DivergedError(
            f"training diverged: {', '.join(wrong)} stopped being a finite number shortly before {now.seen:,} examples "
            f"(step {now.step:,}). No checkpoint holds it; an older one, if there is one, is whole. Try a lower --lr or a stronger penalty."
        )
    return numbers
