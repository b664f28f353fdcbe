"""Many files, one after another: what cannot be done is told, and the rest is done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...core.errors import GanforgeError, UsageError
from ...data.opening import Unusable
from ...data.source import plain
from ...runs.grid import save_bytes
from . import holes, video
from .applier import Applier, check_tile
from .files import Job
from .masks import Masks
from .pictures import capped, decoded, read
from .process import check_hints, check_holes, process
from .provenance import Facts
from .save import KINDS, encoded


@dataclass
class Work:
    """How every file is worked on."""

    applier: Applier
    facts: Facts
    tile: int | str = "auto"
    masks: Masks | None = None
    hints: Path | None = None
    """Dots of known colour, for networks that take some."""
    grow: int = 0
    """Pixels by which holes are widened."""
    stdin: BinaryIO | None = None
    stdout: BinaryIO | None = None


@dataclass
class Outcome:
    """What became of one file."""

    job: Job
    status: str = "ok"
    """ok, skipped or failed."""
    before: tuple[int, int] = (0, 0)
    """(width, height) of the input, upright."""
    after: tuple[int, int] = (0, 0)
    tiles: int = 0
    frames: int = 0
    """Of a video."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "input": plain(self.job.name),
            "output": plain(self.job.target or "standard output"),
            "status": self.status,
            "size": self.before,
            "output_size": self.after,
            "tiles": self.tiles,
            **({"frames": self.frames} if self.frames else {}),
            "seconds": round(self.seconds, 3),
            "notes": self.notes,
            **({"error": self.error} if self.error else {}),
        }

    def line(self) -> str:
        """For people."""
        way = plain(f"{self.job.name} -> {self.job.target or 'standard output'}")
        if self.status != "ok":
            return f"{self.status:7} {way if self.status == 'skipped' else plain(self.job.name)}  {self.error}".rstrip()
        (width, height), (wide, high) = self.before, self.after
        size = f"{width}x{height}" + (f" -> {wide}x{high}" if self.after != self.before else "")
        pieces = f"{self.frames} frames, " if self.frames else ""
        return f"{way}  {size}  {pieces}{self.tiles} tile{'s' * (self.tiles != 1)}  {self.seconds:.1f} s"


def work(found: Sequence[Job], how: Work) -> Iterator[Outcome]:
    """Work on every file and say what became of it. Faults of one file are told in its outcome, and the next one is begun.

    Raises UsageError for a tile that is none, and where a mask is missing or not wanted, hints are not wanted, or no hole can grow.
    """
    check_tile(how.tile)
    if how.grow and not how.masks:
        raise UsageError("--grow widens holes: say where they are with --mask.")
    holes.check_grow(how.grow)
    if not all(job.video for job in found):
        check_holes(how.applier, how.masks is not None)
    check_hints(how.applier, how.hints is not None)
    for job in found:
        outcome, began = Outcome(job), time.perf_counter()
        try:
            if job.video:
                _video(outcome, how)
            else:
                _picture(outcome, how)
        except (Unusable, GanforgeError, OSError, MemoryError) as error:
            outcome.status, outcome.error = "failed", " ".join(str(error).split()) or type(error).__name__
        except (RuntimeError, ValueError) as error:  # a network that does not fit this picture
            outcome.status, outcome.error = "failed", f"the network failed on it: {' '.join(str(error).split())[:200]}"
        outcome.seconds = time.perf_counter() - began
        yield outcome


def _picture(outcome: Outcome, how: Work) -> None:
    job = outcome.job
    picture = decoded(_content(job, how))
    outcome.before = picture.size
    outcome.notes += picture.notes
    found = None
    if how.masks:
        found, said = how.masks.read(job, picture.size)
        outcome.notes.append(said)
    done = process(how.applier, picture, found, how.tile, read(how.hints, sparse=True) if how.hints else None, how.grow)
    outcome.after, outcome.tiles = done.picture.size, done.tiles
    outcome.notes += done.notes
    kind = KINDS[job.target.suffix.lower()] if job.target else "PNG"
    body, notes = encoded(done.picture, kind, how.facts, exact=found is not None)
    outcome.notes += notes
    if job.target:
        save_bytes(body, job.target)
    else:
        assert how.stdout
        how.stdout.write(body)
        how.stdout.flush()


def _content(job: Job, how: Work) -> bytes:
    if job.source is None:
        assert how.stdin
        return capped(how.stdin)
    with job.source.open("rb") as file:
        return capped(file)


def _video(outcome: Outcome, how: Work) -> None:
    if how.applier.fill or how.masks or how.hints:
        raise UsageError("holes are filled, and hints are given, in pictures, not in videos.")
    assert outcome.job.source
    if not outcome.job.target:
        raise UsageError("a video cannot go to standard output: its file is written in several places. Say -o FILE.")
    made = video.apply(how.applier, outcome.job.source, outcome.job.target, how.facts, how.tile)
    outcome.before, outcome.after, outcome.tiles, outcome.frames = made.before, made.after, made.tiles, made.frames
    outcome.notes += made.notes
