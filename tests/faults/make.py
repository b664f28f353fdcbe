"""Real files with real faults, written on the spot."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge.data.images import Images
from ganforge.data.imageset import ImageSet

PEAK = "peak = lambda: [int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')][0]\n"
"""A line for programs of their own: peak() is the most megabytes they held. ru_maxrss would start at what their parent held."""


def noise(seed: int, width: int = 32, height: int = 32, channels: int = 3) -> np.ndarray:
    """(h, w, c) random bytes, (h, w) for one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def smooth(seed: int, side: int = 64) -> np.ndarray:
    """(h, w, 3): soft blobs, as in photographs."""
    coarse = Image.fromarray(noise(seed, 4, 4))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def fill(folder: Path, count: int = 4, **size: int) -> Path:
    """Some good PNG images good0.png, good1.png, ... in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        (folder / f"good{k}.png").write_bytes(encoded(noise(k, **size)))
    return folder


def chunk(tag: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG out of raw rows, each after its filter byte. colour: 0 grey, 2 RGB, 4 grey and alpha."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def deep_png(samples: np.ndarray, colour: int) -> bytes:
    """A 16-bit PNG of samples (h, w, c)."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png(samples.shape[1], samples.shape[0], 16, colour, rows)


def deep_tiff(samples: np.ndarray, turn: int = 1) -> bytes:
    """A TIFF of (h, w, 3 or 4) uint16, to be turned by its reader."""
    (height, width, channels), body = samples.shape, samples.astype("<u2").tobytes()
    tags = {256: width, 257: height, 258: 0, 259: 1, 262: 2, 273: 0, 274: turn, 277: channels, 278: height, 279: len(body)}
    tags |= {338: 2} if channels == 4 else {}
    tags[258] = 8 + 2 + 12 * len(tags) + 4  # where the bits of each channel are said
    tags[273] = tags[258] + 2 * channels
    entries = b"".join(struct.pack("<HHII", tag, 3 if tag == 258 else 4, channels if tag == 258 else 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + struct.pack(f"<{channels}H", *[16] * channels) + body


def bomb(side: int = 8000) -> bytes:
    """A whole and valid 1-bit PNG: a few KB that become side x side pixels."""
    return png(side, side, 1, 0, (b"\0" + bytes(side // 8)) * side)


def look(root: Path, **options: Any) -> ImageSet:
    """What training would get; the cache lies beside the data."""
    return Images(path=str(root), **options).load(root.parent / "cache")


def reasons(found: ImageSet) -> dict[str, str]:
    """Skipped file -> why."""
    return {s["file"]: s["reason"] for s in found.report["skipped"]}


def state(root: Path) -> list[tuple[str, int, int, str]]:
    """Every file with size, time and content: equal before and after means untouched."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


def refuses(number: int) -> Any:
    """A function of the system that fails with this errno."""

    def call(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return call
