"""Pictures as arrays, with all that a file says beside its pixels, from files and to PIL images."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageOps, JpegImagePlugin

from ...data.decode import eight_bits
from ...data.opening import Unusable, affordable, damage, opened, sound, turn_of
from ...data.source import MAX_FILE
from . import deep
from .tiles import Array

KEPT = (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298)
"""EXIF tags that stay true: description, camera, resolution, software, time, artist, copyright. The orientation is not among them."""
FLAT = ("1", "L", "LA", "I", "I;16", "I;16B")
"""Modes of grey, in which honest pictures, drawings and scanned pages, may come out of very few bytes."""
IPTC, IPTC_TIFF = 0x0404, 0x83BB
"""Numbers of IPTC's entries among Photoshop's in a JPEG, and among the tags of a TIFF."""
CLEAR = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
"""Modes with transparency, and what they become."""

SPACES = {1: b"GRAY", 3: b"RGB "}
"""Channels -> what colour profiles for them say in their bytes 16 to 20 (ICC.1:2022, 7.2.6)."""
NO_PROFILE = "its colour profile was left out: it belongs to a picture of other channels"


@dataclass(frozen=True, eq=False)
class Picture:
    """colour (h, w, 1 or 3) and alpha (h, w) or None, both uint8 or both uint16, upright; and what its file said beside them."""

    colour: Array
    alpha: Array | None = None
    icc: bytes | None = None
    exif: Image.Exif | None = None
    kind: str = "PNG"
    sampling: int = 0
    """Of the chroma of a JPEG: 0 4:4:4, 1 4:2:2, 2 4:2:0."""
    notes: tuple[str, ...] = ()
    dpi: tuple[float, float] | None = None
    """Pixels an inch, across and down, as the file says beside its EXIF."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.colour.shape[1], self.colour.shape[0]


def decoded(body: bytes, sparse: bool = False) -> Picture:
    """The first picture of an image file. sparse: a mask or a layer of dots, most of which is nothing. Raises Unusable with the reason."""
    try:
        image = opened(io.BytesIO(body))
        if not sparse and image.mode not in FLAT:  # the limit of pixels bounds the memory of all
            affordable(image, len(body))
        if image.format == "PNG":
            sound(body)
        image.load()
        picture = of_image(image)
        samples = deep.samples(body, image)
        if samples is None:
            if deep.is_deep_colour(body, image):
                why = "OpenCV cannot read this kind" if find_spec("cv2") else 'pip install "ganforge[image]" keeps it'
                picture = replace(picture, notes=(*picture.notes, f"16-bit colour was read as 8 bits: {why}"))
            return picture
        colour, alpha = samples
        return replace(picture, colour=colour, alpha=alpha)
    except Unusable:
        raise
    except MemoryError:
        raise Unusable("too large: not enough memory to decode it") from None
    except Exception as error:  # decoders raise anything on damaged input: OSError, SyntaxError, struct.error, KeyError ...
        raise Unusable(damage(error)) from error


def of_image(image: Image.Image) -> Picture:
    """A PIL image of any mode, turned upright. Raises Unusable for 32-bit samples, which have no known black and white."""
    notes = _lost(image)
    sampling = JpegImagePlugin.get_sampling(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else 0
    upright = ImageOps.exif_transpose(image) if turn_of(image) > 1 else image  # a TIFF is turned by loading it
    icc = image.info.get("icc_profile")
    if upright.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        notes.append(f"{upright.mode} became RGB")
        if upright.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
            upright = ImageChops.invert(upright)  # only Adobe stores ink upside down, which Pillow takes for granted
    exif = _exif(upright)
    if exif is None:
        notes.append("its EXIF is damaged and was left out")
    colour, alpha = _planes(upright)
    if icc and icc[16:20] != SPACES[colour.shape[2]]:
        icc = None
        notes.append(NO_PROFILE)
    return Picture(colour, alpha, icc, exif, image.format or "PNG", max(0, sampling), tuple(notes), _density(image))


def _lost(image: Image.Image) -> list[str]:
    """Notes on what a file holds beside its first picture and is not carried over."""
    notes, frames = [], getattr(image, "n_frames", 1)
    if frames > 1:
        more = "its further pictures, such as a gain map or a second view, were left out"
        notes.append(more if image.format == "MPO" else f"the first of {frames} frames was taken")
    if "xmp" in image.info:
        notes.append("its XMP was left out: results have their own, which says what made them")
    if IPTC in image.info.get("photoshop", ()) or IPTC_TIFF in getattr(image, "tag_v2", ()):
        notes.append("its IPTC entries were left out")
    return notes


def _density(image: Image.Image) -> tuple[float, float] | None:
    """Pixels an inch, where the file itself says a number that all formats can hold; of what Pillow finds in EXIF that goes with it."""
    if isinstance(image, JpegImagePlugin.JpegImageFile) and not image.info.get("jfif_unit"):
        return None
    try:
        across, down = (float(n) for n in image.info.get("dpi", (0, 0)))
    except (TypeError, ValueError):  # a damaged entry
        return None
    return (across, down) if 1 < across < 65535 and 1 < down < 65535 else None  # 1: Pillow's number for a TIFF that says nothing


def _planes(image: Image.Image) -> tuple[Array, Array | None]:
    """(h, w, 1 or 3) and (h, w) or None."""
    if image.mode.startswith("I"):
        return _deep_grey(image)
    if image.mode == "F":
        raise Unusable("32-bit: samples of floating point have no known black and white, save them as 8 or 16 bits")
    if image.mode in CLEAR or "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        image = image.convert(CLEAR.get(image.mode, "LA" if image.mode in ("1", "L") else "RGBA"))
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    samples = np.asarray(image)
    if samples.ndim == 2:
        return samples[..., None], None
    return (samples, None) if samples.shape[2] == 3 else (samples[..., :-1], samples[..., -1])


def _deep_grey(image: Image.Image) -> tuple[Array, Array | None]:
    samples = np.asarray(image)
    if samples.size and (samples.min() < 0 or samples.max() > 65535):
        raise Unusable("32-bit: samples beyond 65,535 have no known white, save them as 16 bits")
    samples = samples.astype(np.uint16)
    clear = image.info.get("transparency")
    return samples[..., None], None if clear is None else np.where(samples == clear, 0, 65535).astype(np.uint16)


def _exif(image: Image.Image) -> Image.Exif | None:
    """What stays true of a picture's EXIF; None where it is broken."""
    try:
        old, new = image.getexif(), Image.Exif()
        for tag in KEPT:
            if tag in old:
                new[tag] = old[tag]
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if found := dict(old.get_ifd(part)):
                found.pop(ExifTags.Base.ExifInteroperabilityOffset, None)
                new[part] = found
        new.tobytes()
    except Exception:  # noqa: BLE001  broken EXIF blocks raise anything, and the pixels are fine without them
        return None
    return new


def to_image(picture: Picture) -> Image.Image:
    """A PIL image of mode L, LA, RGB, RGBA, or I;16 for 16-bit grey; 16-bit colour becomes 8 bits, all that PIL can hold."""
    colour, alpha = picture.colour, picture.alpha
    if colour.dtype == np.uint16 and colour.shape[2] == 1 and alpha is None:
        return _told(Image.fromarray(colour[..., 0]), picture)
    planes = colour if alpha is None else np.concatenate((colour, alpha[..., None]), 2)
    if planes.dtype == np.uint16:
        planes = eight_bits(planes)
    return _told(Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes), picture)


def _told(image: Image.Image, picture: Picture) -> Image.Image:
    """With the colour profile, the EXIF and the density in its info, where PIL keeps them."""
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = picture.exif.tobytes()
    if picture.dpi:
        image.info["dpi"] = picture.dpi
    return image


def measured(exif: Image.Exif | None, width: int, height: int) -> Image.Exif | None:
    """The same EXIF for a picture of this size, which some cameras note in it."""
    if exif and (part := exif.get(ExifTags.IFD.Exif)):
        sizes: dict[int, Any] = {ExifTags.Base.ExifImageWidth: width, ExifTags.Base.ExifImageHeight: height}
        exif[ExifTags.IFD.Exif] = {**part, **{tag: value for tag, value in sizes.items() if tag in part}}
    return exif


def read(path: Path, sparse: bool = False) -> Picture:
    """The first picture of a file, as `decoded`. Raises Unusable with the reason."""
    with path.open("rb") as file:
        return decoded(capped(file), sparse)


def capped(stream: BinaryIO) -> bytes:
    """All of a stream. Raises Unusable where it is longer than an image file may be."""
    body = stream.read(MAX_FILE + 1)
    if len(body) > MAX_FILE:
        raise Unusable(f"too large: over {MAX_FILE >> 20} MiB")
    return body
