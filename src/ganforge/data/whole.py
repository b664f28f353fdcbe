"""Photographs at the size they have: decoded into one row of bytes, in memory or in a file, and what is alike among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganforge.data import store
from ganforge.data.alike import Alike, compare, joined, shrunk
from ganforge.data.decode import Look
from ganforge.data.develop import decode, enough, headers, measures, quiet_bombs, what_was_met
from ganforge.data.source import Files, Skip, digest

SMALL = 64
"""Side of the thumbnails by which photographs are compared, whatever their sizes."""


@dataclass(frozen=True)
class Album:
    """Photographs (c, h, w) uint8, each of its own size, with file names, a number made of each file's content and a digest of pixels."""

    photos: Sequence[NDArray[np.uint8]]
    names: Sequence[str]
    marks: NDArray[np.uint64]
    prints: Sequence[bytes]
    in_memory: bool = True
    """False where the pixels are mapped from a file."""

    def __len__(self) -> int:
        return len(self.photos)

    def only(self, rows: Sequence[int]) -> Album:
        """These photographs, in this order; one may come more than once."""
        photos, names, prints = [self.photos[k] for k in rows], [self.names[k] for k in rows], [self.prints[k] for k in rows]
        return Album(photos, names, self.marks[np.asarray(rows, np.int64)], prints, self.in_memory)

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """(n, c, 64, 64): all of each photograph, shrunk."""
        small = np.empty((len(self), len(self.photos[0]) if self.photos else 3, SMALL, SMALL), np.uint8)
        for row, photo in enumerate(self.photos):
            step = max(1, min(photo.shape[1:]) // (4 * SMALL))
            small[row] = shrunk(np.array(photo[None, :, ::step, ::step]), SMALL)[0].round()
        return small

    def alike(self, mirrored: bool = False) -> Alike:
        """As `alike.compare`; photographs of different sizes may be alike, and equal are those of equal pixels."""
        found = compare(self.small, mirrored)
        first: dict[bytes, int] = {}
        exact = np.array([first.setdefault(one, row) for row, one in enumerate(self.prints)], np.int64)
        near = joined(len(self), [*enumerate(found.near.tolist()), *enumerate(exact.tolist())])
        return Alike(exact, near, found.outliers)


class Decoded(NamedTuple):
    """The usable photographs of a source, the position of each in its names, the other files, and what was met (see `Developed.facts`)."""

    album: Album
    kept: Sequence[int]
    skipped: Sequence[Skip]
    facts: dict[str, Any]


def whole(files: Files, look: Look, cache: Path, least: int = 2) -> Decoded:
    """Decode every file at its own size, or at the look's where that has one (fit squash or halves).

    What does not fit into memory lies in a file of the cache and is found there by the next start. Raises DataError where fewer than
    `least` can be used, StorageError where the disk has no room either.
    """
    key = digest("album", str(store.VERSION), repr(asdict(look)), *files.stamp)
    return _recalled(files, cache, key) or _decoded(files, look, cache, key, least)


def _decoded(files: Files, look: Look, cache: Path, key: str, least: int) -> Decoded:
    with quiet_bombs():
        probes, skipped = headers(files)
        good = [i for i, p in enumerate(probes) if p]
        known = [p for p in probes if p]
        enough(files, len(good), skipped, least)
        shapes = [(look.channels, look.height or p.height, look.width or p.width) for p in known]
        room = store.Block((sum(map(prod, shapes)),), cache)
        try:
            photos = _views(room.array, shapes)
            met, more = decode(files, good, known, np.arange(len(good) + 1), look, photos)
            skipped += more
            enough(files, sum(m is not None for m in met), skipped, least)
        except BaseException:
            room.drop()
            raise
    used = [row for row, m in enumerate(met) if m]
    facts = measures([known[row] for row in used])
    facts |= what_was_met([(files.names[good[row]], known[row], m) for row, m in enumerate(met) if m])
    marks = np.array([m.mark for m in met if m], np.uint64)
    kept, mine = [good[row] for row in used], [photos[row] for row in used]
    album = Album(mine, [files.names[i] for i in kept], marks, [_print(photo) for photo in mine], room.path is None)
    if room.path:
        content = {"shapes": shapes, "used": used, "kept": kept, "marks": marks.tolist(), "prints": [p.hex() for p in album.prints]}
        store.put(cache, key, room.array, room.path, content | {"skipped": skipped, "facts": facts})
    return Decoded(album, kept, skipped, facts)


def _recalled(files: Files, cache: Path, key: str) -> Decoded | None:
    """What an earlier start put into the cache, if it is there whole."""
    try:
        row, meta = store.stored(cache, key)
        shapes = [tuple(int(side) for side in shape) for shape in meta["shapes"]]
        if row.ndim != 1 or len(row) != sum(map(prod, shapes)):
            return None
        mapped = not store.fits(row.shape)
        photos = _views(row if mapped else np.array(row), shapes)
        kept = [int(i) for i in meta["kept"]]
        prints, marks = [bytes.fromhex(one) for one in meta["prints"]], np.array(meta["marks"], np.uint64)
        album = Album([photos[i] for i in meta["used"]], [files.names[i] for i in kept], marks, prints, not mapped)
        return Decoded(album, kept, [Skip(str(file), str(reason)) for file, reason in meta["skipped"]], meta["facts"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, IndexError):
        return None


def _views(row: NDArray[np.uint8], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.uint8]]:
    """Photographs that lie one behind the other."""
    ends = np.cumsum([0, *map(prod, shapes)])
    flat = np.asarray(row)  # of a mapped file, too: slices of a memmap are slow to make
    return [flat[ends[i] : ends[i + 1]].reshape(shape) for i, shape in enumerate(shapes)]


def _print(photo: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(photo).data, digest_size=16, salt=digest(repr(photo.shape))[:16].encode()).digest()
