"""The batch beyond which this machine gets no faster: what `--batch 0` asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core import parallel
from .recover import accepts

USUAL = 64
"""The batch that recipes are tuned at, and their sizes are chosen for here."""
BATCHES = (16, 32, 64, 128, 256, 512)
FULL = 0.9
"""Share of the highest speed from which on a batch counts as large enough."""


def of(recipe: Any, batch: int) -> Any:
    """The recipe with another batch."""
    return replace(recipe, run=replace(recipe.run, batch=batch))


def batches(recipe: Any, count: int) -> list[int]:
    """Those to try with `count` images: that can be packed, cut into micro-batches and over processes; the largest there is if none can."""

    def legal(batch: int) -> bool:
        cut = recipe.run.accumulate * parallel.world()[1]
        return batch % cut == 0 and accepts(recipe, replace(recipe.run, batch=batch))

    known = [batch for batch in BATCHES if batch <= count and legal(batch)]
    return known or next(([batch] for batch in range(min(count, BATCHES[-1]), 1, -1) if legal(batch)), [USUAL])


def usual(choices: list[int]) -> int:
    """The one nearest to what recipes are tuned at."""
    return min(choices, key=lambda batch: abs(batch - USUAL))


def choose(recipe: Any, speed: Callable[[int], float], choices: list[int]) -> tuple[Any, str]:
    """The recipe with the smallest batch that is nearly as fast as any, and why, as a sentence.

    speed: examples per second at a batch, 0 where it does not fit. Learning rates stay as they are: fewer, larger steps are made of the
    same images.
    """
    rates = {batch: speed(batch) for batch in choices}
    batch = next(batch for batch, rate in rates.items() if rate >= FULL * max(rates.values()))
    listed = ", ".join(f"{batch}: {rate:,.0f}" for batch, rate in rates.items())
    return of(recipe, batch), f"batch {batch}, from which on larger ones are hardly quicker here (examples/s: {listed})"
