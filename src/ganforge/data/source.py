"""What a reader hands over: encoded files still to be decoded, or arrays that are images already."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganforge.core import limits

MAX_FILE = 256 * 2**20
"""Bytes that one encoded image may have; larger files are skipped."""


USUAL = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of image files; what they hold is what counts."""


class Skip(NamedTuple):
    """A file that is not used, and why. What comes before the colon of `reason` is its kind."""

    file: str
    reason: str

    @property
    def kind(self) -> str:
        return self.reason.split(":", 1)[0]


@dataclass
class Files:
    """Encoded images: `open(i)` gives the bytes of `names[i]` as a stream."""

    kind: str
    """"folder", "zip" or "parquet"."""
    names: list[str]
    """Paths inside the source with forward slashes, in natural order."""
    open: Callable[[int], BinaryIO]
    stamp: Sequence[str]
    """One text per file that changes when the file does (size and time)."""
    sizes: Sequence[int]
    """Bytes of every file as `open` gives it; 0 where it is in memory already."""
    skipped: list[Skip] = field(default_factory=list)
    """What was refused before any decoding."""
    sheets: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    """Label files lying inside the source: path -> read it."""
    labels: NDArray[np.int64] | None = None
    """Class of every file where the format itself knows it (parquet)."""
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    """Sentences on how the source was understood."""
    test: Files | None = None
    close: Callable[[], None] = lambda: None

    def subset(self, keep: Sequence[int]) -> Files:
        """The same source with only these files; nothing is skipped yet and no test part hangs on it."""
        kept, inner = list(keep), self.open
        labels = None if self.labels is None else self.labels[kept]
        names, stamp, sizes = [self.names[i] for i in kept], [self.stamp[i] for i in kept], [self.sizes[i] for i in kept]
        return replace(self, names=names, stamp=stamp, sizes=sizes, labels=labels, open=lambda i: inner(kept[i]), skipped=[], test=None)


@dataclass
class Arrays:
    """Images that need no decoding: x (n, c, h, w) uint8 with c 1, 3 or 4, y (n,) int64."""

    kind: str
    x: NDArray[np.uint8]
    y: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    test: Arrays | None = None
    flip: bool | None = None
    """Whether mirrored images look right; None where nobody knows."""


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which img2 comes before img10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p.casefold()) for p in parts) + ((2, 0, name),)


def plain(name: str | Path) -> str:
    """A file name that is safe in a log: undecodable bytes, control and direction characters are escaped."""
    text = str(name).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def skips(skipped: Sequence[Skip]) -> dict[str, Any]:
    """For the report: the files that are not used, by name with the reason, and how many for each kind of reason."""
    return {
        "skipped": [{"file": plain(s.file), "reason": s.reason} for s in skipped],
        "reasons": dict(Counter(s.kind for s in skipped).most_common()),
    }


def hidden(path: str) -> bool:
    """Whether any part of the path is what systems leave behind: dot files, Thumbs.db, __MACOSX."""
    return any(p.startswith(".") or p.lower() in {"thumbs.db", "desktop.ini", "__macosx"} for p in path.split("/"))


def digest(*parts: str) -> str:
    """First 32 hex digits of the sha256 of some texts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return whole.hexdigest()[:32]


def mark_of(content: bytes | memoryview) -> int:
    """A number made of these bytes alone, evenly spread over 0 to 2^64 - 1."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def available_memory() -> int:
    """Bytes of RAM for this process; those of one run on one machine share it evenly. 4 GiB where it cannot be told."""
    from ganforge.core import parallel  # here, for it imports torch, which naming files does not need

    found = limits.memory()
    return (found[1] if found else 4 * 2**30) // parallel.local_world()


def cache_folder(given: Path | None = None) -> Path:
    """Where downloads and decoded images are kept: the argument, else $GANFORGE_CACHE, else ~/.cache/ganforge."""
    return Path(given or os.environ.get("GANFORGE_CACHE") or Path.home() / ".cache" / "ganforge").expanduser()
