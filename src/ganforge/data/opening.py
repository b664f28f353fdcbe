"""What a file is, judged by its header and checksums before anything is decoded; every surprise ends in a worded reason."""

from __future__ import annotations

import zlib
from typing import BinaryIO, NamedTuple

from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""All that Pillow is allowed to open; its rarer decoders are the ones with holes."""
MAX_PIXELS = 64 * 10**6
"""Pixels one image may have: a 7 KB file can ask for 200 MB."""
LARGE, DENSEST = 16 * 10**6, 200
"""Images of more pixels than LARGE must have at least one byte for every DENSEST of them."""
MAX_FRAMES = 2000
"""Frames that are used of one animation."""
STRANGERS = (
    (b"PK\x03\x04", "a zip archive, unpack it or give its own path"),
    (b"PK\x05\x06", "a zip archive without content"),
    (b"Rar!", "a RAR archive, unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive, unpack it"),
    (b"\x1f\x8b", "a gzip archive, unpack it"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop file, convert to PNG"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000 is not read, convert to JPEG or PNG"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 is not read, convert to JPEG or PNG"),
    (b"\xff\x0a", "JPEG XL is not read, convert to JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "JPEG XL is not read, convert to JPEG or PNG"),
    *((bytes((0, 0, 0, size)) + b"ftyp", "a video") for size in range(8, 64, 4)),
)
"""What other files begin with, and what they are."""


class Unusable(Exception):
    """This file is skipped; the message is the reason."""


class Probe(NamedTuple):
    """What the header says; width and height are those of the upright image."""

    width: int
    height: int
    mode: str
    kind: str
    """PNG, JPEG, ..."""
    frames: int = 1
    clear: bool = False
    """Whether one of its colours, or some of them, mean transparency."""


def probe(stream: BinaryIO, count_frames: bool = False) -> Probe:
    """Read the header only (all of it, to count frames). Raises Unusable with the reason."""
    with opened(stream) as image:
        lies = turn_of(image) >= 5 and image.format != "TIFF"  # whose size Pillow has turned already
        width, height = image.size[::-1] if lies else image.size
        frames = _frames(image) if count_frames else 1
        return Probe(width, height, image.mode, image.format or "", frames, "transparency" in image.info)


def opened(stream: BinaryIO) -> Image.Image:
    """The image, of which only the header is read. Raises Unusable with the reason."""
    try:
        head = stream.read(30)
        stream.seek(0)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            _allowed(*_webp_size(head))
        image = Image.open(stream, formats=FORMATS)
    except Unusable:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, MemoryError) as error:
        raise Unusable(_what_it_is(stream, error)) from None
    except Exception as error:  # a damaged header
        raise Unusable(damage(error)) from error
    _allowed(*image.size)
    return image


def _allowed(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unusable(f"too large: {width}x{height} is over {MAX_PIXELS // 10**6} million pixels")


def damage(error: Exception) -> str:
    """The reason in words when a decoder failed."""
    text = " ".join(str(error).split()) or type(error).__name__
    cut = any(word in text.lower() for word in ("truncated", "not enough", "unexpected end", "incomplete", "unrecognized data stream"))
    return f"{'truncated' if cut else 'damaged'}: {text[:120]}"


def _what_it_is(stream: BinaryIO, error: BaseException) -> str:
    """Reason for a file that Pillow does not know, from its first bytes."""
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: over {MAX_PIXELS // 10**6} million pixels"
    try:
        stream.seek(0)
        head = stream.read(512)
    except Exception as broken:  # noqa: BLE001  a damaged archive member fails in its own way
        return f"unreadable: {broken}"
    if not head:
        return "empty: 0 bytes"
    if head.startswith(b"version https://git-lfs"):
        return "Git LFS pointer: the picture itself was not fetched, run `git lfs pull`"
    if b"<html" in head.lower() or b"<!doctype html" in head.lower():
        return "not an image: it is a web page"
    if head[4:8] == b"ftyp" and head[8:10] in (b"he", b"mi", b"ms", b"av"):
        return "not an image: HEIC and AVIF are not read, convert to JPEG or PNG"
    if kind := next((words for start, words in STRANGERS if head.startswith(start)), None):
        return f"not an image: {kind}"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"II*\0", b"MM\0*")):
        return "truncated: the header is not complete"
    if b"<svg" in head:
        return "not an image: an SVG drawing, convert to PNG"
    if not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head):
        return "not an image: it is text"
    return "not an image: none of " + ", ".join(FORMATS)


def turn_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none."""
    try:
        turn = Image.Image.getexif(image).get(0x0112, 1)  # the method of PNG would decode the whole image
    except Exception:  # noqa: BLE001  broken EXIF blocks raise anything, and the pixels are fine without them
        return 1
    return turn if turn in range(2, 9) else 1


def _frames(image: Image.Image) -> int:
    animated = getattr(image, "is_animated", False) and image.format not in ("MPO", "TIFF")  # those hold other views and pages
    return min(getattr(image, "n_frames", 1), MAX_FRAMES) if animated else 1


def affordable(image: Image.Image, size: int) -> None:
    """Raise Unusable where a file of `size` bytes claims to be a picture that it cannot be."""
    area = image.width * image.height
    if area > LARGE and area > DENSEST * size:
        raise Unusable(f"too large: {image.width}x{image.height} pixels from {size:,} bytes, a decompression bomb")


def sound(png: bytes) -> None:
    """Raise Unusable unless every chunk's checksum is right. Pillow does not look at those of the pixels."""
    view, at = memoryview(png), 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(view[at : at + 4])
        if end + 4 > len(png):
            break
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise Unusable("damaged: a checksum inside the PNG is wrong")
        if bytes(view[at + 4 : at + 8]) == b"IEND":
            return
        at = end + 4
    raise Unusable("truncated: the PNG has no end")


def _webp_size(head: bytes) -> tuple[int, int]:
    """Width and height out of the first 30 bytes of a WebP, whose decoder sets memory aside before Pillow tells the size."""

    def number(at: int, length: int) -> int:
        return int.from_bytes(head[at : at + length], "little")

    if head[12:16] == b"VP8X":
        return number(24, 3) + 1, number(27, 3) + 1
    if head[12:16] == b"VP8L":
        return (number(21, 4) & 0x3FFF) + 1, (number(21, 4) >> 14 & 0x3FFF) + 1
    return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF
