"""Which mask belongs to which picture, and which of its two colours is the hole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ...core.errors import DataError, UsageError
from ...data.matching import MASK
from ...data.opening import Unusable
from ...data.source import natural
from .files import PICTURES, Job
from .holes import Holes, holes, told, white
from .pictures import read


class Masks:
    """One mask for all pictures; or a folder of them, each with the name of its picture, or that and _mask, mask001, ...

    In a folder the inner folders of the pictures may be mirrored. Several masks of one picture are holes in it together. Where --hole says
    nothing, the rarer colour of all masks together is the hole, as in training: one mask with a large hole does not mean the opposite of
    the others.
    """

    def __init__(self, place: Path, found: Sequence[Job], hole: str = "auto") -> None:
        """found: all jobs, those that are done already included. Raises UsageError where `place` is neither a file nor a folder."""
        if not (place.is_file() or place.is_dir()):
            raise UsageError(f"--mask {place} is neither a file nor a folder.")
        self.place, self.hole = place, hole
        self._named: dict[Path, dict[str, list[Path]]] = {}
        self._sources = {job.source: job.source.resolve() for job in found if job.source}
        self._inputs = {*self._sources.values()}
        self._fitting = {job: self._of(job.source, job.base) for job in found if job.source and place.is_dir()}
        masks = {mask.resolve() for fitting in self._fitting.values() for mask in fitting}
        self.jobs = [job for job in found if not job.source or self._sources[job.source] not in masks]
        """Those that are no masks of others."""

    def read(self, job: Job, size: tuple[int, int]) -> tuple[Holes, str]:
        """The holes of a job's picture, which has this (width, height), and how its mask was understood: as `holes`.

        Raises DataError where a picture has no mask, Unusable for one that cannot be read.
        """
        paths = [self.place]
        if self.place.is_dir():
            paths = self._fitting.get(job, [])
            if not paths:
                name, stem = Path(job.name).name, Path(job.name).stem
                raise DataError(f"no mask for {name} in {self.place}: expected {stem}.png, {stem}_mask.png or {stem}_mask001.png.")
        guessed = " (the rarer colour of all masks; --hole says otherwise)" * (self._colour != self.hole)
        found, said = holes(read(paths[0], sparse=True), size, self._colour, guessed)
        for path in paths[1:]:
            found = found | holes(read(path, sparse=True), size, self._colour)[0]
        return found, said if len(paths) == 1 else told(found, self._colour, guessed, len(paths))

    @cached_property
    def _colour(self) -> str:
        """Of holes: white, black, or "auto" where there is one mask for all, or all are of one colour. One is held at a time."""
        if self.hole != "auto":
            return self.hole
        light = pixels = 0
        for path in {path for job in self.jobs for path in self._fitting.get(job, ())}:
            try:
                found = white(read(path, sparse=True))
            except (Unusable, OSError, MemoryError):  # told when it is its picture's turn
                continue
            light, pixels = light + int(found.sum()), pixels + found.size
        if light in (0, pixels):
            return "auto"
        return "white" if 2 * light <= pixels else "black"

    def _of(self, source: Path, base: Path | None) -> list[Path]:
        """The masks in the folder that fit a picture, best first. base: the folder that the picture was found in."""
        base = base or source.parent
        here, name = self.place.resolve() == base.resolve(), source.stem.casefold()  # here, a picture of the same name is a job of its own
        for folder in dict.fromkeys((self.place / source.parent.relative_to(base), self.place)):
            fitting = [
                mask
                for mask in self._names(folder).get(name, ())
                if (at := mask.resolve()) != self._sources[source] and not (here and at in self._inputs and mask.stem.casefold() == name)
            ]
            if fitting:
                return sorted(fitting, key=lambda mask: (len(mask.stem), natural(mask.name)))
        return []

    def _names(self, folder: Path) -> dict[str, list[Path]]:
        """The pictures in a folder by the names of those that they may be masks of."""
        if folder not in self._named:
            names = self._named.setdefault(folder, {})
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.suffix.lower() in PICTURES:
                    for name in {path.stem, found[1] if (found := MASK.match(path.stem)) else path.stem}:
                        names.setdefault(name.casefold(), []).append(path)
        return self._named[folder]
