"""The outer loop: data in, numbers and checkpoints out. Knows nothing about any particular GAN."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from . import checkpoint, parallel
from .ema import Average
from .engine import iterate, moved_on, seed_step
from .errors import CheckpointError, DivergedError, StorageError
from .finite import Fault, Finite, not_finite
from .log import Meter
from .method import Batch, Method, Progress
from .run import Run
from .schedule import evenly

TICKS = 200
"""How often numbers are read during a run; a fixed share of the budget, so that the history does not depend on the clock."""

STOP_EVERY = 16
"""Steps between looks at the clock for a checkpoint, and between the votes of several processes on whether to stop."""

RETRIES, PAUSE = 3, 20.0
"""A checkpoint that a full disk refused is tried so often again, after so many seconds, then twice as many, ..."""

logger = logging.getLogger(__name__)


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
    restarts: int = 0,
    facts: Mapping[str, Any] | None = None,
) -> Progress:
    """Train until `run.examples` are seen or `stop()`; continues from the checkpoint in `folder` if there is one.

    `run` is resolved: examples, precision and layout are set. restarts: how often the run was rolled back; each time other random
    numbers are drawn and learning rates halved. facts: JSON that checkpoints carry along. Returns where it stopped, which is saved in
    `folder`. Raises DivergedError once a loss or weight is known not to be finite, before any checkpoint or picture of it.
    """
    rank, world = parallel.world()
    average, meter, finite = Average(method.exports, run.ema), Meter(), Finite(method)
    before = _resume(folder, method, average, meter, device, restarts)
    step, restarts, accumulate = before.step, max(restarts, before.restarts), max(run.accumulate, before.accumulate)
    saver = _Saver(folder, run.save_minutes, {**(facts or {}), "restarts": restarts, "accumulate": accumulate})
    seed, caution, began = moved_on(run.seed, restarts), 0.5**restarts, time.monotonic()
    batches = data.batches(run.batch, seed=seed, start=step, rank=rank, world=world, device=str(device))
    now = Progress(step, step * run.batch, run.examples)
    if step and watcher:  # a kill between a checkpoint and what is made from it leaves the latter old or missing
        watcher.saved(Tick(now, {}, before.seconds, average))
    while now.seen < now.total:
        seed_step(seed, rank, step)
        numbers = iterate(method, micro_batches(next(batches), accumulate), now, autocast=DTYPES[run.precision], caution=caution)
        step += 1
        now = Progress(step, step * run.batch, run.examples)
        average.update(now, run.batch)
        meter.add(numbers)
        finite.note(step, numbers)

        clock = step % STOP_EVERY == 0
        due, vote = evenly(now, TICKS), clock or world == 1
        last = now.seen >= now.total or (vote and parallel.any_process(stop()))
        save = last or ((due or clock) and parallel.any_process(saver.due()))
        if due or save or vote:
            _agree(finite.fault(wait=due or save or world > 1), now, restarts)
        if watcher:
            watcher.step(now)
        if not (due or save):
            continue
        tick = Tick(now, meter.read(), before.seconds + time.monotonic() - began, average)
        if due:
            meter.clear()
            if watcher:
                watcher.tick(tick)
        if save:
            _agree(Fault(step, wrong, dict(tick.numbers)) if (wrong := not_finite(method, average)) else None, now, restarts)
            if saver.save(method, average, meter, tick, last) and watcher:
                watcher.saved(tick)
            parallel.barrier()
        if last:
            break
    return now


class _Before(NamedTuple):
    """Where a run stood when it was saved."""

    step: int = 0
    seconds: float = 0.0
    restarts: int = 0
    accumulate: int = 1


def _resume(folder: Path, method: Method, average: Average, meter: Meter, device: torch.device, restarts: int) -> _Before:
    """Put everything back as the newest checkpoint has it; the second restart from one takes the one before it, if there is one."""
    most = 16.0 * sum(t.numel() * t.element_size() for t in method.state_dict().values())  # averages, moments, and to spare
    found = checkpoint.read(folder, most=most)
    if found and restarts > found[1].get("restarts", 0) + 1:
        found = checkpoint.read(folder, skip=1, most=most)
    if found is None:
        parallel.share(method)
        for network in average.networks.values():
            parallel.share(network)
        return _Before()
    tensors, state = found
    checkpoint.restore(method, average, tensors, state)
    meter.add_all({key.removeprefix("meter/"): value for key, value in tensors.items() if key.startswith("meter/")}, device)
    try:
        return _Before(int(state["step"]), float(state["seconds"]), int(state.get("restarts", 0)), int(state.get("accumulate", 1)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"the checkpoint in {folder} lacks or garbles {error}: it was not written by Ganforge.") from error


class _Saver:
    """Says when to save, saves in the first process, and outlives a disk that is full for a while."""

    def __init__(self, folder: Path, minutes: float, facts: Mapping[str, Any]) -> None:
        self.folder, self.facts, self.wait = folder, facts, 60 * minutes
        self.next, self.failures = time.monotonic() + self.wait, 0

    def due(self) -> bool:
        return time.monotonic() > self.next

    def save(self, method: Method, average: Average, meter: Meter, tick: Tick, last: bool) -> bool:
        """Whether the checkpoint was written. Raises StorageError where it was not and there is no later try."""
        facts = {**self.facts, "step": tick.now.step, "seconds": tick.seconds}
        self.next = time.monotonic() + self.wait
        try:
            if parallel.world()[0] == 0:
                checkpoint.write(self.folder, tick.now.seen, method, average, facts, meter.tensors())
        except StorageError as error:
            if last or self.failures >= RETRIES:
                raise
            pause = PAUSE * 2**self.failures
            self.next, self.failures = time.monotonic() + pause, self.failures + 1
            logger.warning("%s The training goes on meanwhile and tries again in %.0f s.", error, pause)
            return False
        self.failures = 0
        return True


def micro_batches(batch: Batch, parts: int) -> list[Batch]:
    """The batch cut into `parts` along its first axis."""
    if parts == 1:
        return [batch]
    cut: dict[str, tuple[Tensor, ...]] = {key: value.chunk(parts) for key, value in batch.items()}
    return [{key: pieces[i] for key, pieces in cut.items()} for i in range(parts)]


def _agree(fault: Fault | None, now: Progress, restarts: int) -> None:
    """Raise DivergedError in every process if one has a fault."""
    if not parallel.any_process(fault is not None):
        return
    fault = fault or Fault(now.step, ("a number in another process",), {})
    more = f" and {len(fault.wrong) - 1} more" if len(fault.wrong) > 1 else ""
    numbers = ", ".join(f"{key} {number:.4g}" for key, number in fault.healthy.items())
    healthy = f" The step before was still healthy: {numbers}." if numbers else ""
    seen = fault.step * (now.seen // now.step)
    raise DivergedError(
        f"{fault.wrong[0]}{more} stopped being a finite number at step {fault.step:,} ({seen:,} examples).{healthy}", restarts
    )
