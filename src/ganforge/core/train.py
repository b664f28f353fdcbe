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
from .restart import FIRST, Opinion, Restart, Unwell
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
    restart: Restart = FIRST


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
    restart: Restart = FIRST,
    facts: Mapping[str, Any] | None = None,
    opinion: Callable[[], Opinion] = Opinion,
) -> Progress:
    """Train until `run.examples` are seen or `stop()`; continues from the checkpoint in `folder` if there is one.

    `run` is resolved: examples, precision and layout are set. facts: JSON that checkpoints carry along. opinion: heeded where `run.rescue`.
    Returns where it stopped and saved. Raises DivergedError at numbers that are not finite, before any checkpoint of them, and Unwell.
    """
    (rank, world), average, meter, finite = parallel.world(), Average(method.exports, run.ema), Meter(), Finite(method)
    before = _resume(folder, method, average, meter, device, restart)
    step, restart, accumulate = before.step, restart.later(before.restart), max(run.accumulate, before.accumulate)
    saver, began, said = _Saver(folder, run.save_minutes, facts or {}, restart, accumulate), time.monotonic(), Opinion()
    seed = moved_on(run.seed, restart.number)
    batches = data.batches(run.batch, seed=seed, start=step, rank=rank, world=world, device=str(device))
    now = Progress(step, step * run.batch, run.examples or 0)  # it is set, by now
    if step and watcher:  # a kill between a checkpoint and what is made from it leaves the latter old or missing
        watcher.saved(Tick(now, {}, before.seconds, average))
    while now.seen < now.total:
        seed_step(seed, rank, step)
        numbers = iterate(method, micro_batches(next(batches), accumulate), now, autocast=DTYPES[run.precision], caution=restart.caution)
        step, resting, since = step + 1, method.resting(now), method.since(now)
        now = Progress(step, step * run.batch, now.total)
        average.update(now, run.batch, resting, since)
        meter.add(numbers)
        finite.note(step, numbers)

        clock = step % STOP_EVERY == 0
        due, vote = evenly(now, TICKS), clock or world == 1
        last = now.seen >= now.total or (vote and parallel.any_process(stop()))
        save = last or ((due or clock) and parallel.any_process(saver.due()))
        if due or save or vote:
            _agree(finite.fault(wait=due or save or world > 1), now, restart)
        if watcher:
            watcher.step(now)
        if not (due or save):
            continue
        tick = Tick(now, meter.read(), before.seconds + time.monotonic() - began, average, restart)
        if due:
            meter.clear()
            if watcher:
                watcher.tick(tick)
            said = _heed(opinion(), restart) if run.rescue else said
        if save:
            _agree(Fault(step, wrong, dict(tick.numbers)) if (wrong := not_finite(method, average)) else None, now, restart)
            if saver.save(method, average, meter, tick, last, said.healthy) and watcher:
                watcher.saved(tick)
            parallel.barrier()
        if last:
            break
    return now


class _Before(NamedTuple):
    """Where a run stood when it was saved."""

    step: int = 0
    seconds: float = 0.0
    restart: Restart = FIRST
    accumulate: int = 1


def _resume(folder: Path, method: Method, average: Average, meter: Meter, device: torch.device, restart: Restart) -> _Before:
    """Put everything back as the newest checkpoint has it; the second restart from one takes the one before it, if there is one."""
    most = 16.0 * sum(t.numel() * t.element_size() for t in method.state_dict().values())  # averages, moments, and to spare
    found = checkpoint.read(folder, most=most, takes=restart.takes)
    if found and restart.number > found[1].get("restarts", 0) + 1 and restart.since < restart.number:
        found = checkpoint.read(folder, skip=1, most=most, takes=restart.takes)
    if found is None:
        parallel.share(method)
        for network in average.networks.values():
            parallel.share(network)
        return _Before()
    tensors, state = found
    checkpoint.restore(method, average, tensors, state)
    meter.add_all({key.removeprefix("meter/"): value for key, value in tensors.items() if key.startswith("meter/")}, device)
    try:
        count = int(state.get("restarts", 0))
        known = Restart(count, float(state.get("caution", 0.5**count)))
        return _Before(int(state["step"]), float(state["seconds"]), known, int(state.get("accumulate", 1)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"the checkpoint in {folder} lacks or garbles {error}: it was not written by Ganforge.") from error


class _Saver:
    """Says when to save, saves in the first process, and outlives a disk that is full for a while."""

    def __init__(self, folder: Path, minutes: float, facts: Mapping[str, Any], restart: Restart, accumulate: int) -> None:
        self.facts = {**facts, "restarts": restart.number, "caution": restart.caution, "accumulate": accumulate}
        self.folder, self.wait = folder, 60 * minutes
        self.next, self.failures = time.monotonic() + self.wait, 0

    def due(self) -> bool:
        return time.monotonic() > self.next

    def save(self, method: Method, average: Average, meter: Meter, tick: Tick, last: bool, healthy: bool) -> bool:
        """Whether the checkpoint was written. Raises StorageError where it was not and there is no later try."""
        facts = {**self.facts, "step": tick.now.step, "seconds": tick.seconds, "healthy": healthy}
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


def _heed(said: Opinion, restart: Restart) -> Opinion:
    """Raise Unwell in every process if the first one's opinion asks to go back."""
    caution = parallel.same_everywhere(said.caution)
    if caution < 1:
        raise Unwell(said._replace(caution=caution), restart)
    return said


def _agree(fault: Fault | None, now: Progress, restart: Restart) -> None:
    """Raise DivergedError in every process if one has a fault."""
    if not parallel.any_process(fault is not None):
        return
    fault = fault or Fault(now.step, ("a number in another process",), {})
    more = f" and {len(fault.wrong) - 1} more" if len(fault.wrong) > 1 else ""
    numbers = ", ".join(f"{key} {number:.4g}" for key, number in fault.healthy.items())
    healthy = f" The step before was still healthy: {numbers}." if numbers else ""
    seen = fault.step * (now.seen // now.step)
    raise DivergedError(
        f"{fault.wrong[0]}{more} stopped being a finite number at step {fault.step:,} ({seen:,} examples).{healthy}", restart
    )
