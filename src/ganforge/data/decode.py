"""One encoded image to pixels of the wanted size and colours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps

from ganforge.data.opening import Unusable, affordable, damage, opened, sound, turn_of
from ganforge.data.source import mark_of


class Picture(NamedTuple):
    """pixels (c, h, w) uint8, and what was met on the way."""

    pixels: NDArray[np.uint8]
    rotated: bool = False
    animated: bool = False
    enlarged: bool = False
    salvaged: bool = False
    deep: tuple[float, float] | None = None
    """Least and greatest sample of an image of more than 8 bits."""
    mark: int = 0
    """A number made of the file's content alone, evenly spread over 0 to 2^64 - 1."""


@dataclass(frozen=True)
class Look:
    """How every image is brought to one form."""

    width: int
    height: int
    channels: int
    """1 (grey), 3 (RGB) or 4 (RGB and alpha)."""
    fit: str = "crop"
    """crop, pad or squash; halves squashes the left and the right half each into its half; whole keeps the size that a file has."""
    alpha: str = "white"
    """Colour behind transparency and beside padded images."""
    min_side: int = 0
    """Least short side; 0: half of the wanted one."""
    window: tuple[float, float] | None = None
    """Samples of deep grey images that become black and white; None: all of their range."""
    salvage: bool = False
    """Take JPEGs that lack nothing but their end marker."""


def pictures(stream: BinaryIO, look: Look, frames: int = 1) -> Iterator[Picture]:
    """Decode the first `frames` frames, turn upright, flatten transparency, fit. Raises Unusable with the reason."""
    try:
        body = stream.read()
        image = opened(io.BytesIO(body))
        affordable(image, len(body))
        if too_small(*image.size, look):
            least = look.min_side or -(-min(look.width, look.height) // 2)
            raise Unusable(f"too small: {image.width}x{image.height}, needs {least} on the short side")
        if image.format == "PNG":
            sound(body)
        if image.format == "JPEG" and look.fit != "whole":  # decode at a half or less where that is still twice the wanted size
            image.draft(None, (2 * max(look.width, look.height),) * 2)
        mark = mark_of(body)
        with image:
            for frame in range(frames):
                image.seek(frame)
                yield _developed(image, body, look)._replace(mark=mark)
    except Unusable:
        raise
    except MemoryError:
        raise Unusable("too large: not enough memory to decode it") from None
    except Exception as error:  # decoders raise anything on damaged input: OSError, SyntaxError, struct.error, KeyError ...
        raise Unusable(damage(error)) from error


def _developed(image: Image.Image, body: bytes, look: Look) -> Picture:
    salvaged, turned = False, turn_of(image) > 1
    try:
        image.load()
    except OSError:
        if not (look.salvage and image.format == "JPEG"):
            raise
        mended = _mended(body)
        if mended is None:
            raise
        image, salvaged = mended, True
    animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    upright = ImageOps.exif_transpose(image) if turn_of(image) > 1 else image  # a TIFF is turned by loading it
    if upright.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        upright = ImageChops.invert(upright)  # only Adobe stores ink upside down, which Pillow takes for granted
    deep = _range(upright) if is_deep(upright.mode) else None
    flat = flatten(upright, look.alpha, look.channels, look.window)
    enlarged = flat.width < look.width or flat.height < look.height
    return Picture(pixels(fitted(flat, look)), turned or upright is not image, animated, enlarged, salvaged, deep)


def is_deep(mode: str) -> bool:
    """Whether samples of this mode have more than 8 bits."""
    return mode.startswith("I") or mode == "F"


def flatten(image: Image.Image, alpha: str, channels: int, window: tuple[float, float] | None = None) -> Image.Image:
    """Any mode -> "L", "RGB" or "RGBA": deep grey is scaled and never clipped, transparency is laid on `alpha` unless it is kept (4)."""
    if is_deep(image.mode):
        image = Image.fromarray(eight_bits(np.asarray(image), window))
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if channels < 4:
            image = Image.alpha_composite(Image.new("RGBA", image.size, alpha), image)
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return image if image.mode == mode else image.convert(mode)


def eight_bits(deep: NDArray[np.generic], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Deeper samples -> uint8.

    A `window` (low, high) is stretched to 0 ... 255, and what lies outside takes its ends. Without one, whole numbers up to 65535
    are divided by 257; others (32-bit and floating-point TIFF) keep [0, 1] as it is and are else stretched from their smallest to
    their largest value. Raises ValueError where a sample is not a finite number.
    """
    if window is None and np.issubdtype(deep.dtype, np.integer):
        low, high = (int(deep.min()), int(deep.max())) if deep.size else (0, 0)
        if 0 <= low and high <= 65535:
            return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
    values = deep.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite numbers")
    low_f, high_f = window or (float(values.min()), float(values.max()))
    if window or low_f < 0 or high_f > 1:
        values = (values - low_f) / max(high_f - low_f, 1e-12)
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8)


def fitted(image: Image.Image, look: Look) -> Image.Image:
    """Resize to the look's size with Lanczos; an image that has it already is untouched."""
    size, (w, h) = (look.width, look.height), image.size
    if (w, h) == size or look.fit == "whole":
        return image
    if look.fit == "halves":
        middle, both = look.width // 2, Image.new(image.mode, size)
        for left, cut in ((0, (0, 0, w // 2, h)), (middle, (w - w // 2, 0, w, h))):  # cut first: no pixel crosses the middle
            both.paste(image.crop(cut).resize((middle, look.height), Image.Resampling.LANCZOS, reducing_gap=3.0), (left, 0))
        return both
    if look.fit == "pad":
        ground = (0, 0, 0, 0) if image.mode == "RGBA" else look.alpha
        return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=ground)
    box = (0.0, 0.0, float(w), float(h))
    if look.fit == "crop":
        scale = min(w / look.width, h / look.height)
        cut_w, cut_h = look.width * scale, look.height * scale
        box = ((w - cut_w) / 2, (h - cut_h) / 2, (w + cut_w) / 2, (h + cut_h) / 2)
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Mode L, RGB or RGBA -> (c, h, w) uint8; what is wholly transparent is black."""
    array = np.asarray(image, np.uint8)
    if image.mode == "RGBA":
        array = array * (array[..., 3:] > 0)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def too_small(width: int, height: int, look: Look) -> bool:
    """Whether the short side is below the look's least, or the image would have to be enlarged more than twice."""
    short = min(width, height)
    return short < look.min_side if look.min_side else 2 * short < min(look.width, look.height)


def _range(image: Image.Image) -> tuple[float, float]:
    samples = np.asarray(image)
    return float(samples.min()), float(samples.max())


def _mended(jpeg: bytes) -> Image.Image | None:
    """A JPEG that lacks nothing but its end marker; None where picture data is missing.

    Missing data is made up by the decoder from what follows: then two different endings give different pixels.
    """
    jpeg, ends = jpeg.rstrip(b"\xff"), (b"\xff\xd9", b"\x55\xaa" * 64 + b"\xff\xd9")
    one, other = (Image.open(io.BytesIO(jpeg + end), formats=("JPEG",)) for end in ends)
    return one if one.tobytes() == other.tobytes() else None
