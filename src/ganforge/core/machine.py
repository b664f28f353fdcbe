"""What this machine does best, found by trying: precision, memory layout, speed. Nothing is assumed from its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from . import parallel
from .engine import iterate, seed_step
from .errors import UsageError
from .limits import cores
from .method import Method, at, moments
from .run import Run
from .train import DTYPES, Data, micro_batches

BF16_GAIN = 1.1
"""bf16 must be this much faster than fp32 to be worth its rounding."""


THREADS_GAIN = 1.03
"""Fewer threads must be this much faster to be taken."""
FEW = 32
"""Steps of a whole training up to which layouts and precisions are not compared: that would take longer than it saves."""


def pick_device(name: str) -> str:
    """'auto' -> cuda, mps or cpu; another name is checked. Raises UsageError for a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name} is not usable here ({str(error).splitlines()[0]}). Use cpu, or auto.") from error
    return name


def use_threads(threads: int) -> int:
    """Set torch's threads: `threads`, or this process's share of the cores. Returns their number."""
    count = threads or max(1, cores() // parallel.local_world())
    torch.set_num_threads(count)
    return count


def quickest_threads(rate: float, measure: Callable[[], float]) -> tuple[int, float, str]:
    """The number of threads that `measure`, a speed, likes best; that speed; why. `rate`: the speed with the threads as they are.

    Small networks are slowed down by threads that wait for each other. Half as many, a quarter, ... are tried while it gets better.
    """
    most = torch.get_num_threads()
    best, tried = (rate, most), [f"{most}: {rate:,.0f}"]
    while (count := best[1] // 2) >= 1:
        torch.set_num_threads(count)
        speed_now = parallel.same_everywhere(measure())
        tried.append(f"{count}: {speed_now:,.0f}")
        if speed_now < THREADS_GAIN * best[0]:
            break
        best = (speed_now, count)
    torch.set_num_threads(best[1])
    return best[1], best[0], f"{best[1]} threads, the best of what was tried (examples/s: {', '.join(tried)})"


def layout(method: Method, name: str) -> None:
    """Bring the 4-D weights of a method into a memory layout, before averages and optimiser moments are made."""
    if name == "channels_last":
        method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def speed(method: Method, data: Data, run: Run, device: torch.device, seconds: float = 1.0) -> float:
    """Examples per second over all processes, measured on real steps of a throw-away method: of each stage for its share of the run."""
    rank, world = parallel.world()
    batches = data.batches(run.batch, seed=run.seed, start=0, rank=rank, world=world, device=str(device))
    each = seconds / len(method.stages)
    return 1 / sum(share / _rate(method, batches, run, device, fraction, each) for fraction, share in method.stages.items())


def _rate(method: Method, batches: Iterator[Any], run: Run, device: torch.device, fraction: float, seconds: float) -> float:
    """The same of steps at this fraction of the budget."""
    rank, took, steps = parallel.world()[0], 0.0, -1  # the first step warms up and does not count
    while steps < 2 or took < seconds:
        seed_step(run.seed, rank, steps)
        began = time.perf_counter()
        iterate(method, micro_batches(next(batches), run.accumulate), at(fraction, steps + 1), autocast=DTYPES[run.precision])
        if device.type == "cuda":
            torch.cuda.synchronize()
        steps += 1
        # All processes go by the clock of the first, or they would leave this loop at different steps and wait for ever.
        took = parallel.same_everywhere(took + time.perf_counter() - began if steps else 0.0)
        if took > 10 * seconds:
            break
    return run.batch * steps / took


def settle(make: Callable[[], Method], data: Data, run: Run, device: torch.device) -> tuple[Run, float, list[str]]:
    """`run` with precision, layout and examples decided; the speed in examples per second; and why, in sentences."""
    tried: dict[tuple[str, str], float] = {}
    layouts = [run.layout] if run.layout != "auto" else ["contiguous", "channels_last"]
    precisions = [run.precision] if run.precision != "auto" else ["fp32", "bf16"]
    short = run.examples is not None and run.examples <= FEW * run.batch and len(layouts) * len(precisions) > 1
    if short:
        layouts, precisions = layouts[:1], precisions[:1]
    for order in layouts:
        for precision in precisions:
            method = make()
            layout(method, order)
            tried[order, precision] = speed(method, data, replace(run, precision=precision), device)
    worth = {key: rate / (BF16_GAIN if key[1] == "bf16" else 1.0) for key, rate in tried.items()}
    order, precision = max(worth, key=lambda key: worth[key])
    rate = tried[order, precision]
    notes = []
    if len(tried) > 1:
        listed = ", ".join(f"{o} {p} {r:,.0f}" for (o, p), r in tried.items())
        notes.append(f"{precision} and {order} weights, the best of what was tried here (examples/s: {listed})")
    if short:
        notes.append(f"{precision} and {order} weights, not compared with others: at most {FEW} steps are over sooner")
    threads = torch.get_num_threads()
    if not run.threads and device.type == "cpu" and threads > 1:

        def measure() -> float:
            method = make()
            layout(method, order)
            return speed(method, data, replace(run, precision=precision), device, seconds=0.5)

        threads, rate, why = quickest_threads(rate, measure)
        notes.append(why)
    examples = run.examples
    if examples is None:
        examples = max(run.batch, int(rate * 60 * run.minutes * OVERHEAD) // run.batch * run.batch)
        notes.append(f"{examples:,} examples, what {run.minutes:g} minutes allow at {rate:,.0f} examples/s")
    return replace(run, precision=precision, layout=order, examples=examples, threads=threads), rate, notes


OVERHEAD = 1 - (0.05 + 0.02 + 0.05)
"""Share of the time that goes into training steps. The rest: what evaluations (runs/judge.py) and measurements of the duality gap
(runs/health.py) may cost at most, and as much as the former for pictures, the guard's looks and saving."""


ROUNDING = {"fp32": 1e-2, "bf16": 5e-2}
"""Of the length of an update's gradient: how far off a compiled network's may be."""


def compile_networks(method: Method, make: Callable[[], Method], batch: Any, device: torch.device, precision: str) -> str:
    """Compile a method's networks in place if every player's gradients equal the plain networks'; returns what was decided."""
    plain, fast = make(), make()
    fast.load_state_dict(plain.state_dict())
    try:
        _compile(fast)
        same = all(
            float((a - b).norm()) <= ROUNDING[precision] * float(a.norm())
            for a, b in zip(_moved(plain, batch, precision), _moved(fast, batch, precision), strict=True)
        )
    except Exception as error:  # whatever the compiler trips over, training goes on without it, and says so
        return f"not compiled: the compiler failed on these networks ({type(error).__name__}: {str(error).splitlines()[0]})"
    if not same:
        return "not compiled: the compiled networks' gradients differ from the plain ones"
    _compile(method)
    return "compiled networks, proven equal to the plain ones on steps of every player"


def _compile(method: Method) -> None:
    for player in method.players:
        for network in player.networks:
            network.compile()


def _moved(method: Method, batch: Any, precision: str) -> list[torch.Tensor]:
    """The gradient (weights of its player,) of each update until every player has moved, with the same random numbers."""
    seed_step(0, 0, 0)
    found, still = [], {player.name for player in method.players}
    with torch.autocast(next(iter(batch.values())).device.type, DTYPES[precision], enabled=precision != "fp32"):
        for moment, all_stages in moments(method):
            for update in method.step(batch, moment):
                grads = torch.autograd.grad(update.loss, update.player.parameters, allow_unused=True)
                found.append(torch.cat([g.float().flatten() for g in grads if g is not None]))
                still.discard(update.player.name)
            if all_stages and not still:
                break
    return found
