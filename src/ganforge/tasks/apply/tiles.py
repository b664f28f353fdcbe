"""Where a picture is cut for a network, and how the pieces become one picture again.

Every piece is read with a margin, as far as an output pixel sees, and thrown away but for its core; neighbouring cores overlap a little
and fade into each other, so that a network that is not quite local shows no seam. Only one row of pieces is held as floats at a time.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DivergedError, StorageError

GRID = 32
"""Cores are multiples of it, and of a network's own strides, so that these fall on the same pixels as in the whole picture."""
MAPPED = 2**30
"""Bytes from which on a picture lies in a file that memory is mapped to, not in memory."""
Array = NDArray[Any]
Piece = Callable[[Array], NDArray[np.float32]]
"""(h, w, a) of a picture -> (h scale, w scale, b) float32 in [-1, 1]."""


class Span(NamedTuple):
    """One piece of an axis, in pixels of the input: what is read, what is used of it, and where it fades."""

    read: int
    read_end: int
    start: int
    stop: int
    rise: int = 0
    """It fades in over so many pixels from `start` on; 0 at the edge of the picture."""
    fall: int = 0
    """It fades out over so many pixels from `fall_at` on; 0 at the edge of the picture."""
    fall_at: int = 0


def spans(length: int, core: int, margin: int, blend: int, grid: int = GRID) -> list[Span]:
    """Cut an axis into cores of at most `core` pixels, all but the last of one size, a multiple of `grid`. One span where it fits whole.

    margin: pixels that are read beyond what is used. blend: pixels over which two neighbours fade, at most half a core.
    """
    if core >= length:
        return [Span(0, length, 0, length)]
    core = -(-length // -(-length // core) // grid) * grid
    half = min(blend, core // 2) // 2
    found = []
    for at in range(0, length, core):
        first, last = at == 0, at + core >= length
        start, stop = at - half * (not first), min(length, at + core + half)
        read = max(0, start - margin) // grid * grid
        ends = (0 if first else 2 * half, 0 if last else 2 * half, at + core - half)
        found.append(Span(read, min(length, stop + margin), start, stop, *ends))
    return found


def weights(span: Span, scale: int) -> NDArray[np.float32]:
    """((stop - start) scale,): 1 but for raised cosines at the ends. Those of all spans of an axis add up to 1 everywhere."""
    found = np.ones((span.stop - span.start) * scale, np.float32)
    rise = _ramp(span.rise * scale)[: len(found)]  # the last span can be shorter than the ramp
    found[: len(rise)] *= rise
    if span.fall:
        out = found[(span.fall_at - span.start) * scale :]
        out *= 1 - _ramp(span.fall * scale)[: len(out)]
    return found


def _ramp(length: int) -> NDArray[np.float32]:
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))).astype(np.float32)


def assembled(picture: Array, piece: Piece, rows: Sequence[Span], columns: Sequence[Span], scale: int, channels: int) -> Array:
    """picture (h, w, a) -> (h scale, w scale, channels) of its dtype: uint8, uint16, or float32 in [-1, 1], which is not rounded.

    Raises DivergedError where the network gives what is no finite number, and as `blank`.
    """
    height, width = rows[-1].stop * scale, columns[-1].stop * scale
    canvas = blank((height, width, channels), picture.dtype)
    carry = np.zeros((0, width, channels), np.float32)
    for number, row in enumerate(rows):
        band = np.zeros(((row.stop - row.start) * scale, width, channels), np.float32)
        band[: len(carry)] = carry
        for column in columns:
            made = piece(picture[row.read : row.read_end, column.read : column.read_end])
            if not np.isfinite(made).all():
                raise DivergedError("the network gives numbers that are not finite on this picture: no output was written.")
            top, left = (row.start - row.read) * scale, (column.start - column.read) * scale
            down, across = weights(row, scale), weights(column, scale)
            made = made[top : top + len(down), left : left + len(across)]
            band[:, column.start * scale : column.stop * scale] += made * (down[:, None, None] * across[:, None])
        done = ((rows[number + 1].start if number + 1 < len(rows) else row.stop) - row.start) * scale
        canvas[row.start * scale : row.start * scale + done] = quantised(band[:done], canvas.dtype)
        carry = band[done:]
    return canvas


def quantised(values: NDArray[np.float32], dtype: np.dtype[Any]) -> Array:
    """[-1, 1] -> 0 ... 255 or 0 ... 65535, rounded to the nearest and clamped; float32 stays as it is."""
    if dtype == np.float32:
        return values
    half = np.iinfo(dtype).max / 2
    return np.clip(values * np.float32(half) + np.float32(half + 0.5), 0, 2 * half).astype(dtype)


def floats(picture: Array) -> NDArray[np.float32]:
    """uint8 or uint16 -> [-1, 1]; float32 stays as it is."""
    if picture.dtype == np.float32:
        return np.ascontiguousarray(picture)
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max / 2) - 1


def blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros in memory, or in a temporary file that is gone with them where they take more than MAPPED bytes.

    Raises StorageError where the temporary folder has no room for them.
    """
    need = math.prod(shape) * dtype.itemsize
    if need <= MAPPED:
        return np.zeros(shape, dtype)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), need, folder)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        why = error.strerror or error
        raise StorageError(
            f"the result takes {need / 2**30:.1f} GB, for which {folder} has no room: {why}. Set TMPDIR to a folder on a larger disk."
        ) from error


def _reserve(file: int, need: int, folder: str) -> None:
    """Take so many bytes of the disk at once: where one is missing later, the system ends the program that writes to a mapped file."""
    if shutil.disk_usage(folder).free < need:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, need)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # said by file systems that cannot reserve
                raise
