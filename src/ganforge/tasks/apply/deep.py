"""Colour of 16 bits, which PIL can neither hold nor write: read by OpenCV where it is installed; and PNG, written row by row."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.opening import turn_of

ROWS = 256
"""Rows that are compressed at a time."""
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> PNG's number for them: grey, grey and alpha, RGB, RGBA."""
Deep = NDArray[np.uint16]


def is_deep_colour(body: bytes, image: Image.Image) -> bool:
    """Whether a file holds 16-bit samples that PIL cuts to 8: all PNG but plain grey, and RGB TIFF."""
    if image.format == "PNG":
        return body[24] == 16 and body[25] in (2, 4, 6)
    return image.format == "TIFF" and image.mode in ("RGB", "RGBA") and 16 in image.tag_v2.get(258, ())  # type: ignore[attr-defined]


def samples(body: bytes, image: Image.Image) -> tuple[Deep, Deep | None] | None:
    """Colour (h, w, 1 or 3) and alpha (h, w) or None of a file of 16-bit colour; None for other files, and without OpenCV."""
    if not is_deep_colour(body, image):
        return None
    try:
        import cv2
    except ImportError:
        return None
    found = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 3:
        return None
    pixels: Deep = found.astype(np.uint16, copy=False)
    if image.format == "PNG":  # a TIFF is turned by OpenCV
        pixels = upright(pixels, turn_of(Image.open(io.BytesIO(body), formats=("PNG",))))
    colour = pixels[..., 2::-1]
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    grey = image.format == "PNG" and body[25] == 4
    return np.ascontiguousarray(colour[..., :1] if grey else colour), alpha


def upright(pixels: Deep, turn: int) -> Deep:
    """(h, w, c) as EXIF's orientation, 1 to 8, means it."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def png(pixels: NDArray[np.uint8] | Deep, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The PNG of (h, w, 1 to 4) uint8 or uint16, with these (name, content) before the pixels, of which few rows are copied at a time."""
    height, width, channels = pixels.shape
    kind, bytes_a_row = pixels.dtype.newbyteorder(">"), width * channels * pixels.itemsize
    press, out = zlib.compressobj(3), io.BytesIO()
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, COLOURS[channels], 0, 0, 0)
    out.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head))
    for name, content in chunks:
        out.write(_chunk(name, content))
    above = np.zeros((1, bytes_a_row), np.uint8)
    for at in range(0, height, ROWS):
        rows = np.ascontiguousarray(pixels[at : at + ROWS].astype(kind)).view(np.uint8).reshape(-1, bytes_a_row)
        lines = np.full((len(rows), 1 + rows.shape[1]), 2, np.uint8)  # each begins with its filter: 2, the difference to the row above
        lines[:, 1:] = rows - np.concatenate((above, rows[:-1]))
        if pressed := press.compress(lines.tobytes()):
            out.write(_chunk(b"IDAT", pressed))
        above = rows[-1:]
    out.write(_chunk(b"IDAT", press.flush()) + _chunk(b"IEND", b""))
    return out.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
