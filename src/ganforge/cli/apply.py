"""`gan apply RUN photo.jpg -o out.png`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..core.errors import DataError, UsageError
from .options import call

if TYPE_CHECKING:
    from ..tasks.apply.work import Outcome


def main(arguments: list[str]) -> int:
    return call(apply, arguments, "gan apply")


def apply(
    run: Annotated[str, tyro.conf.Positional],
    inputs: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: Annotated[str, tyro.conf.arg(aliases=("-o",))] = "",
    strength: float | None = None,
    tile: str = "auto",
    mask: str = "",
    hole: str = "auto",
    grow: int = 0,
    hints: str = "",
    suffix: str = "",
    skip_existing: bool = False,
    overwrite: bool = False,
    network: str = "generator",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
    device: str = "auto",
    code: tuple[str, ...] = (),
) -> int:
    """Restore, enlarge, colour, fill or translate pictures and videos. What fails is told, the rest is done, and the exit code is then 3.

    Args:
        run: A run folder, a copy of its best/ folder, or published weights of Real-ESRGAN's networks (.safetensors, .pth).
        inputs: Images, videos, patterns in quotes, folders with all that is in them, or - for standard input.
        out: A file for one input, else a folder that mirrors the inputs; - for standard output (PNG). A file's ending chooses its format.
        strength: From 0, faithful, to 1, lively, for models that were trained in both ways. None: 1 where there is a choice.
        tile: Side of the pieces that large pictures are cut into: auto, pixels, or 0 for the whole at once.
        mask: Where the holes are, for models that fill them: a picture, or a folder of pictures of the same names.
        hole: The colour of holes in masks: white, black, or auto, which takes the rarer one and says so.
        grow: Pixels by which holes are widened, for masks that are drawn too tight; the outer half of them fades into the picture.
        hints: Dots of known colour on a transparent picture as large as the photo, for models that colour.
        suffix: Put behind every name in a folder: photo.jpg becomes photo-new.jpg with --suffix=-new.
        skip_existing: Leave out what is there already.
        overwrite: Replace what is there already, inputs included.
        network: Which of the model's networks, such as backward for the way back of a CycleGAN.
        as_json: Write one line of JSON a file, and one of how many there were.
        device: cpu, cuda, or auto.
        code: Your own .py files that the model names and that may be run.
    """
    side, place, dots = parse_tile(tile), parse_mask(mask, hole), existing("--hints", hints)
    from ..tasks.apply import files, masks

    found, others = files.jobs(inputs, out, suffix)
    own = masks.Masks(place, found, hole) if place else None
    found, others = (own.jobs, others + len(found) - len(own.jobs)) if own else (found, others)
    wanted, there = files.planned(found, skip=skip_existing, overwrite=overwrite)
    from ..tasks.apply import of_model, work  # below the mistakes that need no network, for these import torch

    model = of_model.opened(run, code=code, device=device)
    facts = of_model.facts(model, network=network, strength=strength)
    how = work.Work(of_model.applier(model, strength, network), facts, side, own, dots, grow, sys.stdin.buffer, sys.stdout.buffer)
    stream = sys.stderr if out == files.STREAM else sys.stdout
    failed, said = 0, Counter[str]()
    for outcome in chain((work.Outcome(job, "skipped") for job in there), work.work(wanted, how)):
        stream.write(json.dumps(outcome.told()) + "\n" if as_json else _lines(outcome, said))
        stream.flush()
        failed += outcome.status == "failed"
    counts = {"done": len(wanted) - failed, "failed": failed, "skipped": len(there), "left_alone": others}
    if as_json or len(found) > 1 or failed or others:
        stream.write(json.dumps({"status": "all", **counts}) + "\n" if as_json else _total(said, **counts))
    return DataError.exit_code if failed else 0


def _lines(outcome: Outcome, said: Counter[str]) -> str:
    """What became of a file, and below it what was not said before; how often it would have been is counted."""
    new = [note for note in outcome.notes if note not in said]
    said.update(dict.fromkeys(outcome.notes, 1))
    return "\n".join([outcome.line(), *(f"  {note}" for note in new)]) + "\n"


def _total(said: Counter[str], done: int, failed: int, skipped: int, left_alone: int) -> str:
    """Which notes hold for more files than the one that they were said of, and how many files there were."""
    also = "".join(f"also for {times - 1} other{'s' * (times > 2)}: {note}\n" for note, times in said.items() if times > 1)
    left = f", {left_alone} others left alone" if left_alone else ""
    return f"{also}{done} done, {failed} failed, {skipped} skipped{left}\n"


def parse_tile(text: str) -> int | str:
    """'auto' or a number. Raises UsageError for anything else."""
    if text == "auto" or text.isdecimal():
        return text if text == "auto" else int(text)
    raise UsageError(f"--tile is auto, 0 for the whole at once, or pixels; got {text}.")


def parse_mask(mask: str, hole: str) -> Path | None:
    """The mask's place, None for none. Raises UsageError for a colour of holes that is not known, DataError where it is not there."""
    if hole not in ("auto", "white", "black"):
        raise UsageError(f"--hole is auto, white or black; got {hole}.")
    return existing("--mask", mask)


def existing(option: str, text: str) -> Path | None:
    """The place that an option names, None for "". Raises DataError where it is not there."""
    place = Path(text).expanduser() if text else None
    if place and not place.exists():
        raise DataError(f"there is no {option} {text}.")
    return place
