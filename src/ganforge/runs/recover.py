"""What a run survives by itself: a divergence, too little memory, and, with `rescue`, what the guard says of its samples."""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..core import checkpoint, memory, parallel
from ..core.errors import DivergedError, GanforgeError, MemoryShortError, UsageError
from ..core.restart import FIRST, Restart, Unwell
from ..core.run import Run

T = TypeVar("T")

MOST = 3
"""Times that a run is rolled back before it is given up."""

COUNT = "restarts.json"


def persevere(attempt: Callable[..., T], recipe: Any, folder: Path, say: Callable[[str], None]) -> T:
    """attempt(recipe, restart=...), which starts from the last checkpoint; again after a divergence, or when the guard asks for a rescue;
    with less memory where it ran out.

    Each restart draws other random numbers and lowers the learning rates (`core.train`). The number of restarts is in the checkpoints,
    and in a file of its own until there is one, so it counts over all sittings. Raises DivergedError after MOST of them.
    """
    restart, told = _recall(folder)
    while True:
        try:
            return within_memory(partial(attempt, restart=restart), recipe, say)
        except DivergedError as error:
            last, why = error.restart, str(error)
            if last.number >= MOST:
                raise DivergedError(_diagnosis(why, recipe, folder), last) from error
            restart, place = last._replace(number=last.number + 1, caution=last.caution / 2), "the last good state"
        except Unwell as error:
            restart, why = rescued(error, folder), str(error)
            place = f"{restart.back:,} images, when it was healthy" if restart.back else "the beginning, as no later state was healthy"
        how = f"back to {place}, with other random numbers and learning rates x {restart.caution:g} ({restart.number} of {MOST})"
        told = [*told, f"{why} {how[0].upper()}{how[1:]}."]
        if parallel.world()[0] == 0:
            with suppress(OSError):  # on a full disk it counts for this sitting alone
                _keep(folder, restart, told)
        _free()
        say(f"!  {why}")
        say(f"   {how}")


def rescued(error: Unwell, folder: Path) -> Restart:
    """Where to go back to: the newest healthy checkpoint; the beginning if there is none, or if that one was gone back to before."""
    last = error.restart
    back, count = checkpoint.healthy(folder, last.takes), last.number + 1
    return Restart(count, last.caution * error.opinion.caution, count, 0 if back == last.back else back)


def _keep(folder: Path, restart: Restart, told: Sequence[str]) -> None:
    known = {"restarts": restart.number, "caution": restart.caution, "since": restart.since, "back": restart.back, "told": told}
    checkpoint.replace_file(folder / COUNT, json.dumps(known, indent=1).encode())


def _recall(folder: Path) -> tuple[Restart, list[str]]:
    """How the run was last started again and all that was told of it, as far as its file tells; without one the checkpoints know."""
    try:
        known = json.loads((folder / COUNT).read_bytes())
        count = min(MOST, max(0, int(known["restarts"])))
        restart = Restart(count, float(known.get("caution", 0.5**count)), int(known.get("since", 0)), int(known.get("back", 0)))
        return restart, [str(line) for line in known.get("told", [])]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, AttributeError):
        return FIRST, []


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
            raise MemoryShortError(f"memory ran out even with micro-batches of {_size(recipe.run)} ({told}). {cure(recipe)}")
        recipe = dataclasses.replace(recipe, run=less)
        say(f"memory ran out: {in_parts(less)}")


def cure(recipe: Any) -> str:
    """What to do where memory is too small; pieces of photographs have a --crop, other images a --size."""
    size = "--size" if hasattr(recipe.data, "size") else "--crop"
    return f"Close other programs, or choose smaller networks (--width) or images ({size})."


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
        f"training diverged: {told} It was rolled back {MOST} times, each time with other random numbers and a lower learning rate, and "
        f"diverged again. Nothing of it was saved: the last good checkpoint is whole, and {best}. Try, one at a time: {', '.join(tries)}."
    )
