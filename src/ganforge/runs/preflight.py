"""Before a run: does it fit into the memory and onto the disk, and is the batch one that the data can fill?"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..core import checkpoint, limits, memory, parallel
from ..core.errors import MemoryShortError, StorageError, UsageError
from . import likeness
from .pictures import SAMPLES, translates
from .recover import accepts, cure, in_parts

FILES = 1 << 24
"""Bytes for numbers, curves, logs and reports."""
COPIES = 4
"""Of the size of the weights, at the least: themselves, gradients, and two moments."""


def check(recipe: Any, spec: Any) -> None:
    """Raise UsageError for options of the run that the method could not heed."""
    method = _shapes(recipe, spec)
    if not translates(method):
        return
    likeness.check(recipe.run.evaluate, method)
    if recipe.run.rescue:
        raise UsageError("leave out --rescue: the guard that it heeds looks at images of latents, and this recipe makes images of images.")


def _shapes(recipe: Any, spec: Any) -> Any:
    """The method without its numbers."""
    with torch.device("meta"):
        return recipe.method(dataclasses.replace(spec, device="meta"))


def fill(recipe: Any, count: int) -> tuple[Any, list[str]]:
    """The recipe with a batch that `count` examples can fill, and why. One that cannot be cut so stays: its examples repeat."""
    batch = recipe.run.batch
    if count >= batch:
        return recipe, []
    world = parallel.world()[1]
    for size in range(count, 1, -1):
        run = dataclasses.replace(recipe.run, batch=size, accumulate=1)
        if not size % world and accepts(recipe, run):
            return dataclasses.replace(recipe, run=run), [f"batch {size} instead of {batch}, as there are only {count} examples"]
    return recipe, [f"{count} examples are fewer than the batch of {batch}: they repeat within it"]


def fit(recipe: Any, data: Any, spec: Any, device: torch.device) -> tuple[Any, list[str]]:
    """The recipe with micro-batches that fit into memory, and sentences on memory and disk.

    Raises MemoryShortError or StorageError where the run cannot fit, UsageError where its batch cannot be cut over all processes;
    before anything large is allocated or written.
    """
    parallel.micro_batch(recipe.run.batch, recipe.run.accumulate)
    needs = _needs(recipe, data, spec, device)
    recipe, notes = _memory(recipe, needs.training, _free_memory(device))
    return recipe, [*notes, _disk(recipe, needs.state, spec.shape)]


def fits(recipe: Any, data: Any, spec: Any, device: torch.device) -> bool:
    """Whether the whole recipe fits into memory, with its micro-batches as they are."""
    try:
        needs = _needs(recipe, data, spec, device)
    except MemoryShortError:
        return False
    free = _free_memory(device)
    return free is None or needs.training(recipe.run.batch // parallel.world()[1] // recipe.run.accumulate) <= free


def _needs(recipe: Any, data: Any, spec: Any, device: torch.device) -> memory.Needs:
    """What the recipe needs, by small steps. Raises MemoryShortError, before anything large is allocated if its weights alone tell."""
    least = COPIES * sum(p.numel() * p.element_size() for p in _shapes(recipe, spec).parameters())
    if (free := _free_memory(device)) is not None and least > free:
        raise MemoryShortError(_too_large(recipe, least, free))
    batch = next(data.batches(4 * getattr(recipe, "pack", 1), seed=recipe.run.seed, device=str(device)))
    try:
        return memory.needs(lambda: recipe.method(spec), batch)
    except (MemoryError, RuntimeError) as error:
        if not memory.is_short(error):
            raise
        told = str(error).partition("\n")[0] or type(error).__name__
        raise MemoryShortError(f"memory ran out on a first small step ({told}). {cure(recipe)}") from error


def _too_large(recipe: Any, least: int, free: int) -> str:
    return f"this training needs about {_gb(least)} of memory even with micro-batches of 1; {_gb(free)} are free. {cure(recipe)}"


def _memory(recipe: Any, training: Callable[[int], int], free: int | None) -> tuple[Any, list[str]]:
    world, notes = parallel.world()[1], []
    run = recipe.run

    def takes(run: Any) -> int:
        return training(run.batch // world // run.accumulate)

    if free is not None and takes(run) > free:
        less = memory.smaller(run, world, lambda run: takes(run) <= free and accepts(recipe, run))
        if less is None:
            raise MemoryShortError(_too_large(recipe, training(1), free))
        notes.append(f"{in_parts(less)}: the whole batch at once would need about {_gb(takes(run))}")
        recipe = dataclasses.replace(recipe, run=less)
    of = "" if free is None else f" of {_gb(free)} free"
    return recipe, [*notes, f"memory about {_gb(takes(recipe.run))}{of}"]


def _free_memory(device: torch.device) -> int | None:
    """Bytes for each process on its device, the least over processes so that all decide alike; None where it cannot be told."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what torch keeps of earlier steps counts as used otherwise
        return int(parallel.least(torch.cuda.mem_get_info(device)[0]))
    ram = limits.memory()
    return int(parallel.least(ram[1] // parallel.local_world())) if ram else None


def _disk(recipe: Any, state: int, shape: tuple[int, ...]) -> str:
    """A sentence; raises StorageError if the disk is too small for the checkpoints (one more while it is written), model and pictures."""
    pictures = recipe.run.snapshots * SAMPLES * int(torch.Size(shape).numel())
    kept = checkpoint.KEEP + recipe.run.rescue  # and one more while it is written
    need = (kept + 2) * state + pictures + FILES
    place = Path(recipe.run.out or "runs").expanduser().absolute()
    free = shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free
    if need > free:
        raise StorageError(
            f"this run needs up to {need:,} bytes of disk at {place} ({kept + 1} checkpoints of {state:,}, the model and the "
            f"pictures); {free:,} are free, so {need - free:,} are missing. Make room, or write elsewhere: --out FOLDER."
        )
    return f"disk up to {_gb(need)} of {_gb(free)} free: {kept} checkpoints of {_gb(state)}, model, pictures"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
