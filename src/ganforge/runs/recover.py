"""What a run survives by itself: a divergence, and too little memory."""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..core import memory, parallel
from ..core.checkpoint import replace_file
from ..core.errors import DivergedError, GanforgeError, MemoryShortError, UsageError
from ..core.run import Run

T = TypeVar("T")

MOST = 3
"""Times that a run is rolled back before it is given up."""

COUNT = "restarts.json"


def persevere(attempt: Callable[..., T], recipe: Any, folder: Path, say: Callable[[str], None]) -> T:
    """attempt(recipe, restarts=...), which starts from the last checkpoint; again after a divergence, with less memory where it ran out.

    Each restart draws other random numbers and halves the learning rates (`core.train`). The number of restarts is in the checkpoints,
    and in a file of its own until there is one, so it counts over all sittings. Raises DivergedError after MOST of them.
    """
    restarts = _recall(folder)
    while True:
        try:
            return within_memory(partial(attempt, restarts=restarts), recipe, say)
        except DivergedError as error:
            told, restarts = str(error), error.restarts + 1
            if restarts > MOST:
                raise DivergedError(_diagnosis(told, recipe, folder), error.restarts) from error
        if parallel.world()[0] == 0:
            with suppress(OSError):  # on a full disk it counts for this sitting alone
                replace_file(folder / COUNT, json.dumps({"restarts": restarts}).encode())
        _free()
        say(f"!  {told}")
        say(f"   back to the last good state, with other random numbers and learning rates x {0.5**restarts:g} ({restarts} of {MOST})")


def _recall(folder: Path) -> int:
    """How often the run was rolled back in earlier sittings, as far as its file tells; without one the checkpoints know."""
    try:
        return min(MOST, max(0, int(json.loads((folder / COUNT).read_bytes())["restarts"])))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return 0


def within_memory(do: Callable[[Any], T], recipe: Any, say: Callable[[str], None]) -> T:
    """do(recipe); where memory runs out, once more with smaller micro-batches that add up to the same batch, until it fits.

    Raises MemoryShortError where even one example is too many, or where several processes would have to agree.
    """
    world = parallel.world()[1]
    while True:
        try:
            return do(recipe)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, GanforgeError) or not memory.is_short(error):
                raise
            told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            if world > 1:
                raise MemoryShortError(f"memory ran out ({told}). Start again with --accumulate {2 * recipe.run.accumulate}.") from error
        _free()  # outside the handler, which keeps every tensor of the failed step alive
        less = memory.smaller(recipe.run, world, partial(accepts, recipe))
        if less is None:
            raise MemoryShortError(f"memory ran out even with micro-batches of {_size(recipe.run)} ({told}). {CURE}")
        recipe = dataclasses.replace(recipe, run=less)
        say(f"memory ran out: {in_parts(less)}")


CURE = "Close other programs, or choose smaller networks (--width) or images (--size)."


def in_parts(run: Run) -> str:
    """How a batch is cut, in words."""
    return f"micro-batches of {_size(run)}, {run.accumulate} of them added up to the same batch of {run.batch}"


def accepts(recipe: Any, run: Run) -> bool:
    """Whether a recipe can be run like this (a packed batch cannot be cut anywhere)."""
    try:
        dataclasses.replace(recipe, run=run)
    except UsageError:
        return False
    return True


def _size(run: Run) -> int:
    return run.batch // parallel.world()[1] // run.accumulate


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _diagnosis(told: str, recipe: Any, folder: Path) -> str:
    tries = [f"--lr {recipe.lr / 10:g}"] if getattr(recipe, "lr", 0) else ["a lower learning rate"]
    if getattr(recipe, "penalty", ()):
        tries.append(f"--penalty-weight {2 * recipe.penalty_weight:g}")
    if recipe.run.precision == "bf16":
        tries.append("--precision fp32")
    best = f"the best model is in {folder / 'best'}" if (folder / "best").is_dir() else "no model was saved before it"
    return (
        f"training diverged: {told} It was rolled back {MOST} times, each time with other random numbers and half the learning rate, and "
        f"diverged again. Nothing of it was saved: the last good checkpoint is whole, and {best}. Try, one at a time: {', '.join(tries)}."
    )
