"""Room for decoded pixels: memory where they fit, else a file; and a cache so that large folders are decoded once."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganforge.core.errors import StorageError
from ganforge.data.decode import Look
from ganforge.data.source import Skip, available_memory

if TYPE_CHECKING:
    from ganforge.data.develop import Developed

log = logging.getLogger("ganforge.data")
SHARE = 0.4
"""Part of the free memory that the images may take."""
MOST_KEPT = 8
"""Decoded sets that stay in the cache; the least recently used ones go."""
VERSION = 3
"""Raised when decoding changes, so that old caches are not taken for new ones."""


def fits(shape: tuple[int, ...]) -> bool:
    """Whether bytes of this shape may live in memory."""
    return math.prod(shape) <= SHARE * available_memory()


class Block:
    """An array of bytes of the given shape, in memory or in a file of the cache folder that has no final name yet."""

    def __init__(self, shape: tuple[int, ...], cache: Path) -> None:
        self.path: Path | None = None
        self.array: NDArray[np.uint8]
        if fits(shape):
            self.array = np.zeros(shape, np.uint8)
            return
        need = math.prod(shape)
        folder = _folder(cache)
        if shutil.disk_usage(folder).free < need * 1.05:
            raise StorageError(
                f"the images take {need / 2**30:.1f} GB, more than the memory, and {folder} has no room for them either. {_HINT}"
            )
        self.path = folder / f"{uuid.uuid4().hex}.part"
        try:
            self.array = np.lib.format.open_memmap(self.path, "w+", np.uint8, shape)
        except OSError as error:
            raise _storage(error, folder) from error

    def keep(self, which: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """The examples marked in `which` (n,), moved together in place."""
        if which.all():
            return self.array
        places = np.flatnonzero(which)
        for start in range(0, len(places), 256):
            part = places[start : start + 256]
            self.array[start : start + len(part)] = self.array[part]
        return self.array[: len(places)]

    def nameless(self) -> Block:
        """The same without the file's name: its room is given back by itself once nothing holds the array."""
        self.drop()
        self.path = None
        return self

    def drop(self) -> None:
        """Give the room back."""
        if self.path:
            self.path.unlink(missing_ok=True)


def remember(cache: Path, key: str, made: Developed) -> None:
    """Put a decoded set into the cache."""
    meta = {
        "look": asdict(made.look),
        "count": len(made.pixels),
        "kept": made.kept.tolist(),
        "marks": made.marks.tolist(),
        "skipped": made.skipped,
        "facts": made.facts,
    }
    put(cache, key, made.pixels, made.file, meta)


def put(cache: Path, key: str, pixels: NDArray[np.uint8], file: Path | None, meta: dict[str, Any]) -> None:
    """Keep bytes, which may lie in a file that is moved, and JSON. A full or read-only disk is only logged: the set itself is in hand."""
    path = _paths(cache, key)
    try:
        folder = _folder(cache)
        if file:
            os.replace(file, path[0])
        else:
            _write(path[0], lambda part: np.save(part, pixels))
        _write(path[1], lambda part: part.write_text(json.dumps(meta)))
        for old in sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)[MOST_KEPT:]:
            old.unlink(missing_ok=True)
            old.with_suffix(".npy").unlink(missing_ok=True)
        for left in folder.glob("*.part*"):  # of runs that were killed while decoding
            if time.time() - left.stat().st_mtime > 2 * 86400:
                left.unlink(missing_ok=True)
    except (OSError, StorageError) as error:
        log.warning("decoded images could not be cached, so the next start decodes again: %s", error)
    finally:
        if file:  # where it could not be moved
            file.unlink(missing_ok=True)


def stored(cache: Path, key: str) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """What `put` kept: the bytes, mapped, and the JSON. Raises OSError, ValueError or EOFError where it is not there, or not whole."""
    pixels_path, meta_path = _paths(cache, key)
    meta = json.loads(meta_path.read_text())
    mapped = np.load(pixels_path, mmap_mode="c", allow_pickle=False)
    if mapped.dtype != np.uint8 or not isinstance(meta, dict):
        raise ValueError(f"{pixels_path} was not written by this program")
    os.utime(meta_path)
    return mapped, meta


def recall(cache: Path, key: str) -> Developed | None:
    """The decoded set of this key, if the cache has it whole."""
    from ganforge.data.develop import Developed

    try:
        mapped, meta = stored(cache, key)
        look, count = Look(**meta["look"]), int(meta["count"])
        if len(mapped) < count or mapped.shape[2:] != (look.height, look.width):
            return None
        pixels = mapped[:count, : look.channels]
        whole = np.array(pixels) if fits(pixels.shape) else pixels
        skipped = [Skip(str(file), str(reason)) for file, reason in meta["skipped"]]
        kept, marks = np.array(meta["kept"], np.int64), np.array(meta["marks"], np.uint64)
        return Developed(whole, kept, marks, look, skipped, meta["facts"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


_HINT = "Choose a smaller size, or set GANFORGE_CACHE to a folder on a larger disk."


def _folder(cache: Path) -> Path:
    folder = cache / "decoded"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _storage(error, folder) from error
    return folder


def _paths(cache: Path, key: str) -> tuple[Path, Path]:
    return cache / "decoded" / f"{key}.npy", cache / "decoded" / f"{key}.json"


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write under a passing name and rename, so that nobody ever sees half a file."""
    part = path.with_name(f"{uuid.uuid4().hex}.part{path.suffix}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _storage(error: OSError, folder: Path) -> StorageError:
    why = "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror or error)
    return StorageError(f"{folder} cannot be written: {why}. {_HINT}")
