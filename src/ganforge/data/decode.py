"""One encoded image to pixels of the wanted size; every surprise of real files ends in a worded reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""All that Pillow is allowed to open; its rarer decoders are the ones with holes."""
MAX_PIXELS = 64 * 10**6
"""Pixels one image may have: a 7 KB file can ask for 200 MB."""


class Unusable(Exception):
    """This file is skipped; the message is the reason."""


class Probe(NamedTuple):
    """What the header says."""

    width: int
    height: int
    mode: str


class Picture(NamedTuple):
    """pixels (c, h, w) uint8, and what was met on the way."""

    pixels: NDArray[np.uint8]
    rotated: bool
    animated: bool


@dataclass(frozen=True)
class Look:
    """How every image is brought to one form."""

    width: int
    height: int
    channels: int
    """1 (grey) or 3 (RGB)."""
    fit: str = "crop"
    """crop, pad or squash."""
    alpha: str = "white"
    """white or black, behind transparency and beside padded images."""


def probe(stream: BinaryIO) -> Probe:
    """Read the header only. Raises Unusable with the reason."""
    with _open(stream) as image:
        return Probe(*image.size, image.mode)


def picture(stream: BinaryIO, look: Look) -> Picture:
    """Decode, turn upright, flatten transparency, fit. Raises Unusable with the reason."""
    with _open(stream) as image:
        if image.format == "JPEG":  # decode at a half, a quarter or an eighth where that is still twice the wanted size
            side = 2 * max(look.width, look.height)
            image.draft(None, (side, side))
        try:
            animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
            image.seek(0)
            image.load()
            upright = _upright(image)
            flat = flatten(upright, look.alpha, look.channels)
        except MemoryError:
            raise Unusable("too large: not enough memory to decode it") from None
        except Exception as error:  # decoders raise anything on damaged input: OSError, SyntaxError, struct.error, KeyError ...
            raise Unusable(_damage(error)) from error
    _big_enough(*flat.size, look)
    return Picture(pixels(fitted(flat, look)), upright is not image, animated)


def flatten(image: Image.Image, alpha: str, channels: int) -> Image.Image:
    """Any mode -> "L" or "RGB": deep grey is scaled and never clipped, transparency is laid on `alpha`."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(eight_bits(np.asarray(image)))
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, alpha)
        image = Image.alpha_composite(ground, image).convert("RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.convert("L" if channels == 1 else "RGB")


def eight_bits(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deeper samples -> uint8.

    Whole numbers up to 65535 are divided by 257. Others (32-bit and floating-point TIFF) keep [0, 1] as it is and are else
    stretched from their smallest to their largest value. Raises ValueError where a sample is not a finite number.
    """
    if np.issubdtype(deep.dtype, np.integer):
        low, high = (int(deep.min()), int(deep.max())) if deep.size else (0, 0)
        if 0 <= low and high <= 65535:
            return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
    values = deep.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite numbers")
    low_f, high_f = float(values.min()), float(values.max())
    if low_f < 0 or high_f > 1:
        values = (values - low_f) / max(high_f - low_f, 1e-12)
    return np.rint(values * 255).astype(np.uint8)


def fitted(image: Image.Image, look: Look) -> Image.Image:
    """Resize to the look's size with Lanczos; an image that has it already is untouched."""
    size, (w, h) = (look.width, look.height), image.size
    if (w, h) == size:
        return image
    if look.fit == "pad":
        return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=look.alpha)
    box = (0.0, 0.0, float(w), float(h))
    if look.fit == "crop":
        scale = min(w / look.width, h / look.height)
        cut_w, cut_h = look.width * scale, look.height * scale
        box = ((w - cut_w) / 2, (h - cut_h) / 2, (w + cut_w) / 2, (h + cut_h) / 2)
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Mode L or RGB -> (c, h, w) uint8."""
    array = np.asarray(image, np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def too_small(width: int, height: int, look: Look) -> bool:
    """Whether the image would have to be enlarged more than twice."""
    return 2 * min(width, height) < min(look.width, look.height)


def _big_enough(width: int, height: int, look: Look) -> None:
    # After a reduced JPEG decode the size is still twice what is wanted, so this asks the same as on the full size.
    if too_small(width, height, look):
        raise Unusable(f"too small: {width}x{height}, needs {-(-min(look.width, look.height) // 2)} on the short side")


def _upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation wants it; the very same object where there is nothing to turn."""
    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001  broken EXIF blocks raise anything, and the pixels are fine without them
        return image
    return ImageOps.exif_transpose(image) if turn in range(2, 9) else image


def _open(stream: BinaryIO) -> Image.Image:
    try:
        image = Image.open(stream, formats=FORMATS)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, MemoryError) as error:
        raise Unusable(_what_it_is(stream, error)) from None
    except Exception as error:  # a damaged header
        raise Unusable(_damage(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(f"too large: {image.width}x{image.height} is over {MAX_PIXELS // 10**6} million pixels")
    return image


def _damage(error: Exception) -> str:
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
    if head[4:8] == b"ftyp":
        return "not an image: HEIC and AVIF are not read, convert to JPEG or PNG"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"II*\0", b"MM\0*")):
        return "truncated: the header is not complete"
    if head.startswith(b"PK\x03\x04"):
        return "not an image: a zip archive, unpack it or give its own path"
    return "not an image: none of " + ", ".join(FORMATS)
