"""The batch beyond which this machine gets no faster: what `--batch 0` asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

USUAL = 64
"""The batch that recipes are tuned at, and their sizes are chosen for here."""
BATCHES = (16, 32, 64, 128, 256, 512)
FULL = 0.9
"""Share of the highest speed from which on a batch counts as large enough."""


def of(recipe: Any, batch: int) -> Any:
    """The recipe with another batch."""
    return replace(recipe, run=replace(recipe.run, batch=batch))


def choose(recipe: Any, speed: Callable[[int], float], most: int, accumulate: int) -> tuple[Any, str]:
    """The recipe with the smallest batch that is nearly as fast as any, and why, as a sentence.

    speed: examples per second at a batch, 0 where it does not fit. most: images there are; larger batches are not tried. Learning
    rates stay as they are: fewer, larger steps are made of the same images.
    """
    fitting = [batch for batch in BATCHES if batch <= most and batch % accumulate == 0] or [accumulate]
    rates = {batch: speed(batch) for batch in fitting}
    batch = next(batch for batch, rate in rates.items() if rate >= FULL * max(rates.values()))
    listed = ", ".join(f"{batch}: {rate:,.0f}" for batch, rate in rates.items())
    return of(recipe, batch), f"batch {batch}, from which on larger ones are hardly quicker here (examples/s: {listed})"
