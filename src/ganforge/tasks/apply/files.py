"""Which files are worked on, and where each result goes."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...core.errors import DataError, UsageError
from ...data.source import USUAL, hidden, natural, plain
from .save import KINDS

PICTURES = USUAL
"""Endings of images."""
STRANGE = (".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpx", ".jpf", ".jxl")
"""Endings of photographs that cannot be opened: each is told with the reason, for nobody should take them for done."""
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
STREAM = "-"
"""In place of a file: standard input or output."""


class Job(NamedTuple):
    """One file to make."""

    source: Path | None
    """None: standard input."""
    target: Path | None
    """None: standard output."""
    base: Path | None = None
    """The folder given by the user that the source was found in."""

    @property
    def video(self) -> bool:
        return self.source is not None and self.source.suffix.lower() in VIDEOS

    @property
    def name(self) -> str:
        return str(self.source or "standard input")


def jobs(inputs: Sequence[str], out: str, suffix: str = "") -> tuple[list[Job], int]:
    """The files of all inputs (files, patterns, folders with all that is in them, '-'), and how many others lie in those folders.

    out: a file where there is one input file and `out` ends as a file does, '-', else a folder, which mirrors the folders; what ends in a
    slash is one in any case. suffix: put behind every name. Where a file that changes its ending would take the place of another, its old
    ending stays in the name. Raises UsageError where two results would be one file still, DataError where an input is not there.
    """
    if not inputs or not out:
        raise UsageError("say what to work on and where the result goes: gan apply RUN photo.jpg -o out.png, or photos/ -o restored/.")
    found: list[tuple[Path | None, Path | None]] = []
    others, target = 0, Path(out).expanduser()
    for word in inputs:
        place = Path(word).expanduser()
        if word == STREAM:
            found.append((None, None))
        elif place.is_dir():
            inner, left = _inside(place, target)
            found += [(path, place) for path in inner]
            others += left
        elif place.exists():
            found.append((place, None))
        elif _astray(place):
            raise DataError(f"{word} is a link to {place.readlink()}, which is not there.")
        elif matches := [Path(p) for p in sorted(glob.glob(str(place), recursive=True), key=natural)]:
            found += [(path, None) for path in matches if path.is_file()]
        else:
            raise DataError(f"there is no {word}.")
    found = [*dict.fromkeys(found)]
    if not found:
        raise DataError(f"no image and no video in {', '.join(inputs)}.")
    made = [Job(source, _target(source, base, out, target, suffix, len(found)), base) for source, base in found]
    return _checked(_apart(made, suffix)), others


def _inside(folder: Path, out: Path) -> tuple[list[Path], int]:
    """Images and videos in a folder and its inner ones, but for `out`, in natural order; and the number of other files."""
    found, others = [], 0
    seen = {folder.resolve(), out.resolve()}  # links may lead in circles
    for at, inner, names in os.walk(folder, followlinks=True):
        inner[:] = sorted((d for d in inner if not hidden(d) and Path(at, d).resolve() not in seen), key=natural)
        seen.update(Path(at, d).resolve() for d in inner)
        for name in sorted(names, key=natural):
            if hidden(name):
                continue
            if Path(name).suffix.lower() in (*PICTURES, *STRANGE, *VIDEOS):
                found.append(Path(at, name))
            else:
                others += 1
    return found, others


def _target(source: Path | None, base: Path | None, out: str, target: Path, suffix: str, count: int) -> Path | None:
    if out == STREAM and count > 1:
        raise UsageError(f"standard output takes one picture; there are {count}. Say -o FOLDER.")
    named = "" if out.endswith(("/", os.sep)) else target.suffix.lower()  # a Path has no slash at its end
    alone = not base and count == 1 and bool(named) and not target.is_dir()
    if suffix and (alone or out == STREAM):
        raise UsageError(f"--suffix {suffix} belongs to results in a folder, and -o {out} is a name of its own. Leave one of them out.")
    if out == STREAM:
        return None
    if alone:
        wanted = VIDEOS if source and source.suffix.lower() in VIDEOS else tuple(KINDS)
        if named not in wanted:
            raise UsageError(f"-o {out}: cannot write {named}. Use a name that ends in {', '.join(wanted)}, or {out}/ for a folder.")
        return target
    if named in (*PICTURES, *STRANGE, *VIDEOS) and not target.is_dir():
        raise UsageError(
            f"-o {out} is the name of one file, and several files, or those of a folder, go into a folder. Say -o {out}/ for one."
        )
    if target.is_file():
        raise UsageError(f"-o {out}: {target} is a file, and the results go into a folder. Say another name.")
    if _astray(target):
        raise UsageError(f"-o {out} is a link to {target.readlink()}, which is not there. Make that folder, or say another name.")
    if source is None:
        return target / f"stdin{suffix}.png"
    ending = source.suffix if source.suffix.lower() in (*KINDS, *VIDEOS) else ".png"
    inner = source.parent.relative_to(base) if base else Path()
    return target / inner / f"{source.stem}{suffix}{ending}"


def _astray(place: Path) -> bool:
    """Whether a place is a link to nothing."""
    return place.is_symlink() and not place.exists()


def _apart(found: list[Job], suffix: str) -> list[Job]:
    """The same jobs; where results would be one file, as of a.bmp and a.png, those that change their ending keep the old one: a.bmp.png."""
    many = Counter(job.target for job in found)

    def named(job: Job) -> Job:
        if not job.source or not job.target or many[job.target] == 1 or job.source.suffix == job.target.suffix:
            return job
        return job._replace(target=job.target.with_name(f"{job.source.name}{suffix}{job.target.suffix}"))

    return [named(job) for job in found]


def _checked(found: list[Job]) -> list[Job]:
    seen: dict[Path, str] = {}
    for job in found:
        if job.target is None:
            continue
        other = seen.setdefault(job.target.absolute(), job.name)
        if other != job.name:
            raise UsageError(f"{other} and {job.name} would both become {job.target}. Work on them one after another, with two folders.")
    return found


def present(found: Sequence[Job]) -> Iterator[Job]:
    """Jobs whose result is there already, or is an input."""
    inputs = {job.source.resolve() for job in found if job.source}
    yield from (job for job in found if job.target and (job.target.exists() or job.target.resolve() in inputs))


def planned(found: Sequence[Job], *, skip: bool = False, overwrite: bool = False) -> tuple[list[Job], list[Job]]:
    """Jobs to do, and those skipped because their result is there. Raises UsageError where neither was asked for and one is."""
    if skip and overwrite:
        raise UsageError("--skip-existing and --overwrite exclude each other: give one of them.")
    if overwrite:
        return [*found], []
    there = [*present(found)]
    if there and not skip:
        more = f" (and {len(there) - 1:,} more)" if len(there) > 1 else ""
        name = plain(there[0].target or "")
        raise UsageError(f"{name} exists already{more}. --skip-existing leaves such files, --overwrite replaces them.")
    done = {*there}
    return [job for job in found if job not in done], there
