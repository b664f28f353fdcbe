"""All the files of a source to one block of pixels: headers first, then the decisions, then decoding on every processor."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median_low
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganforge.core.errors import DataError
from ganforge.core.limits import cores
from ganforge.data.budget import Budget, weight
from ganforge.data.decode import Look, Picture, pictures
from ganforge.data.opening import Probe, Unusable, probe
from ganforge.data.plan import choose_size, grey_by_mode, grey_by_pixels, to_grey
from ganforge.data.source import Files, Skip, plain
from ganforge.data.store import Block

log = logging.getLogger("ganforge.data")
CHUNK = 32
GONE = "unreadable: it went away meanwhile"
JPEG = dict.fromkeys((".jpg", ".jpeg", ".jfif", ".jpe"), "JPEG")
ENDINGS = JPEG | {".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF"}
T = TypeVar("T")


@dataclass
class Developed:
    """The result: pixels (n, c, h, w), which file each is, and what was met."""

    pixels: NDArray[np.uint8]
    kept: NDArray[np.int64]
    """Position of every image in the source's names."""
    marks: NDArray[np.uint64]
    """For every image a number made of its file's content alone."""
    look: Look
    skipped: list[Skip] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON-able: modes, sizes, size_why, colour_why, and how many files were met that were rotated, animated, misnamed and more."""
    file: Path | None = None
    """Where the pixels lie, if they are on disk rather than in memory."""


def develop(
    files: Files, look: Look, auto_size: bool, auto_colour: bool, block: Callable[[tuple[int, ...]], Block], all_frames: bool = False
) -> Developed:
    """Decode everything. `look` is final but for the size (auto_size) and the channels (auto_colour).

    `block` makes room for the pixels. `all_frames` makes an image of every frame of an animation. Raises DataError where fewer than
    two images are usable, or more than 1 % of the files went away meanwhile.
    """
    with quiet_bombs():
        probes, skipped = headers(files, all_frames)
        good = [i for i, p in enumerate(probes) if p]
        known = [p for p in probes if p]
        enough(files, len(good), skipped)
        look, facts, undecided = _decide(look, known, auto_size, auto_colour)
        first = np.cumsum([0, *(p.frames for p in known)])
        room = block((int(first[-1]), look.channels, look.height, look.width))
        try:
            met, more = decode(files, good, known, first, look, room.array)
            skipped += more
            enough(files, sum(m is not None for m in met), skipped)
            done = np.repeat([m is not None for m in met], np.diff(first))
            pixels = room.keep(done)
            if undecided and grey_by_pixels(pixels):
                look, facts["colour_why"] = replace(look, channels=1), "grey: at least 99 % of the images hold no colour"
                pixels = to_grey(pixels, in_place=room.path is not None)
        except BaseException:
            room.drop()
            raise
    kept = np.repeat(np.array(good, np.int64), np.diff(first))[done]
    names = [files.names[i] for i in good]
    facts |= measures([p for p, m in zip(known, met, strict=True) if m])
    facts |= what_was_met([(n, p, m) for n, p, m in zip(names, known, met, strict=True) if m])
    marks = np.repeat(np.array([m.mark if m else 0 for m in met], np.uint64), np.diff(first))[done]
    return Developed(pixels, kept, marks, look, skipped, facts, room.path)


def headers(files: Files, all_frames: bool = False) -> tuple[list[Probe | None], list[Skip]]:
    """What the header of every file says, None where it is not to be used, and those skipped."""
    skipped: list[Skip] = []
    probes: list[Probe | None] = []
    for i, (found, reason) in enumerate(each(files, range(len(files.names)), lambda _, s: probe(s, all_frames), "looked at")):
        probes.append(found)
        if found is None:
            skipped.append(Skip(files.names[i], reason))
    return probes, skipped


def _decide(look: Look, known: Sequence[Probe], auto_size: bool, auto_colour: bool) -> tuple[Look, dict[str, Any], bool]:
    facts: dict[str, Any] = {"size_why": f"{look.width}x{look.height}: as asked", "colour_why": "as asked"}
    if auto_size:
        width, height, facts["size_why"] = choose_size([(p.width, p.height) for p in known])
        look = replace(look, width=width, height=height)
    if not auto_colour:
        return look, facts, False
    grey = grey_by_mode([p.mode for p in known])
    facts["colour_why"] = "grey: at least 99 % of the files are grey" if grey else "RGB: the images have colour"
    return replace(look, channels=1 if grey else 3), facts, not grey


def decode(
    files: Files,
    good: Sequence[int],
    heads: Sequence[Probe],
    first: NDArray[np.int64],
    look: Look,
    out: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
) -> tuple[list[Picture | None], list[Skip]]:
    """Frames of file good[k] into out[first[k] : first[k + 1]]; what was met in its first one, None where it cannot be used."""
    skipped: list[Skip] = []
    met: list[Picture | None] = []
    budget = Budget()

    def into(place: int, stream: BinaryIO) -> Picture:
        seen = None
        with budget.hold(weight(heads[place], files.sizes[good[place]], look)):
            for row, got in enumerate(pictures(stream, look, int(first[place + 1] - first[place])), int(first[place])):
                out[row][...] = got.pixels
                seen = seen or got._replace(pixels=out[row])
        assert seen
        return seen

    for place, (found, reason) in enumerate(each(files, good, into, "decoded")):
        met.append(found)
        if found is None:
            skipped.append(Skip(files.names[good[place]], reason))
    return met, skipped


def each(files: Files, which: Sequence[int], work: Callable[[int, BinaryIO], T], verb: str) -> Iterator[tuple[T | None, str]]:
    """work(place, stream) for every file, in order, on all processors; None and the reason where it cannot be used."""

    def chunk(start: int) -> list[tuple[T | None, str]]:
        return [one(place) for place in range(start, min(start + CHUNK, len(which)))]

    def one(place: int) -> tuple[T | None, str]:
        try:
            with files.open(which[place]) as stream:
                return work(place, stream), ""
        except Unusable as reason:
            return None, str(reason)
        except PermissionError:
            return None, "unreadable: permission denied"
        except FileNotFoundError:
            return None, GONE
        except Exception as error:  # noqa: BLE001  a damaged archive member raises whatever its decompressor does
            return None, f"unreadable: {' '.join(str(error).split())[:120] or type(error).__name__}"

    told = time.monotonic()
    pool = ThreadPoolExecutor(max(2, min(cores(), 16)))
    try:
        done = 0
        for results in pool.map(chunk, range(0, len(which), CHUNK)):
            yield from results
            done += len(results)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                log.info("%s %s of %s images", verb, f"{done:,}", f"{len(which):,}")
    finally:
        pool.shutdown(cancel_futures=True)


def enough(files: Files, usable: int, skipped: Sequence[Skip], least: int = 2) -> None:
    """Raise DataError where fewer than `least` files can be used, or more than 1 % went away meanwhile."""
    gone = [s.file for s in skipped if s.reason == GONE]
    if len(gone) > max(1, len(files.names) // 100):
        raise DataError(f"{len(gone):,} of {len(files.names):,} files went away while they were read, such as {plain(gone[0])}.")
    if usable >= least:
        return
    every = [*files.skipped, *skipped]
    told = ", ".join(f"{n:,} {kind}" for kind, n in Counter(s.kind for s in every).most_common(4)) or "no others seen"
    first = "".join(f"\n  {plain(s.file)}: {s.reason}" for s in every[:5])
    need = "at least 1 is needed" if least == 1 else f"at least {least} are needed"
    raise DataError(f"{usable} of {len(files.names):,} files can be used as images, {need} ({told}).{first}")


def what_was_met(used: Sequence[tuple[str, Probe, Picture]]) -> dict[str, Any]:
    """What was met in the files that are used: counts, and names where the user may want to look."""
    deep = [m.deep for _, _, m in used if m.deep]
    kinds = [(Path(n).suffix.lower(), p.kind.replace("MPO", "JPEG")) for n, p, _ in used if ".parquet#" not in n]
    return {
        "exif_rotated": sum(m.rotated for _, _, m in used),
        "animated": sum(m.animated for _, _, m in used),
        "enlarged": sum(m.enlarged for _, _, m in used),
        "misnamed": sum(ENDINGS.get(ending) != kind for ending, kind in kinds),
        "salvaged": [plain(n) for n, _, m in used if m.salvaged],
        "deep": {"count": len(deep), "low": min(d[0] for d in deep), "high": max(d[1] for d in deep)} if deep else {},
    }


def measures(known: Sequence[Probe]) -> dict[str, Any]:
    """For the report: modes and sides of the files that are used."""
    shorts, longs = [min(p.width, p.height) for p in known], [max(p.width, p.height) for p in known]
    return {
        "modes": dict(Counter(p.mode for p in known).most_common()),
        "sizes": {
            "min": min(shorts),
            "median": median_low(shorts),
            "max": max(longs),
            "different": len({(p.width, p.height) for p in known}),
        },
        "extreme_aspect": sum(long > 3 * short for short, long in zip(shorts, longs, strict=True)),
    }


@contextmanager
def quiet_bombs() -> Iterator[None]:
    """Pillow's warning on large headers is not wanted: such files are refused with a reason of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged EXIF and TIFF tags
        yield
