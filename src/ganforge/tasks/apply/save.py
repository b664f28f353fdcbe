"""From pictures to the bytes of image files: quality, colour profile, EXIF and provenance included."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from ...core.errors import StorageError
from ...data.decode import eight_bits
from . import deep, provenance
from .pictures import Picture, measured, to_image
from .tiles import MAPPED

KINDS = {".png": "PNG", **dict.fromkeys((".jpg", ".jpeg", ".jfif", ".jpe"), "JPEG"), ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""Endings of the files that can be written: those of formats that can say where a picture comes from."""
QUALITY = 95
"""Of JPEG and WebP."""
LIMITS = {"JPEG": 65_500, "WEBP": 16_383}
"""Longest side that a format can hold."""
LOSSY = "JPEG changes every pixel a little, outside the hole as well; .png keeps them as they were"
TIFF_XMP = 700
PARTS = {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}
"""Entries of EXIF that are blocks of their own."""
INCH = 2
"""EXIF's unit of resolution."""


def encoded(picture: Picture, kind: str, facts: provenance.Facts, exact: bool = False) -> tuple[bytes, tuple[str, ...]]:
    """The content of a file of this kind (PNG, JPEG, WEBP, TIFF) with its marks, and what the format could not hold.

    A JPEG keeps the chroma sampling of the JPEG that it was made of, and is 4:4:4 else. exact: some pixels are to stay as they are, bit by
    bit, so WebP is written without loss, and of JPEG it is told. Raises StorageError for pictures that are too large for the format, and
    where what goes with them is.
    """
    if max(picture.size) > LIMITS.get(kind, 2**31 - 1):
        raise StorageError(f"{picture.size[0]}x{picture.size[1]} pixels are more than {kind} can hold. Use a name that ends in .png.")
    notes = []
    if picture.alpha is not None and kind == "JPEG":
        notes.append("JPEG holds no transparency: it was laid on white; .png and .webp keep it")
        picture = on_white(picture)
    exif = measured(picture.exif, *picture.size) or Image.Exif()
    deeper = picture.colour.dtype == np.uint16
    if kind == "PNG" and (deeper or picture.colour.nbytes > MAPPED):  # which PIL cannot write, or would copy
        return _png(picture, exif, facts), tuple(notes)
    if deeper and (kind != "TIFF" or picture.colour.shape[2] == 3 or picture.alpha is not None):
        notes.append(f"16 bits became 8, as {kind} is written here; .png keeps them")
        alpha = None if picture.alpha is None else eight_bits(picture.alpha)
        picture = replace(picture, colour=eight_bits(picture.colour), alpha=alpha)
    options: dict[str, Any] = {"icc_profile": picture.icc} if picture.icc else {}
    if picture.dpi and kind == "WEBP" and ExifTags.Base.XResolution not in exif:  # which has no other place for it
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = picture.dpi
        exif[ExifTags.Base.ResolutionUnit] = INCH
    elif picture.dpi:
        options["dpi"] = picture.dpi
    if kind == "PNG":
        options |= {"pnginfo": provenance.chunks(facts), "compress_level": 3}
    elif kind == "TIFF":
        exif[TIFF_XMP] = provenance.xmp(facts)
        options["compression"] = None if PARTS & {*exif} else "tiff_deflate"  # libtiff takes no blocks inside of blocks
    else:
        options |= {"xmp": provenance.xmp(facts), "quality": QUALITY}
    if kind == "JPEG":
        options["subsampling"] = picture.sampling
        notes += [LOSSY] if exact else []
    if kind == "WEBP":
        options |= {"lossless": exact, "exact": True}  # keeps colours under transparency, which were chosen with care
    image, out = to_image(picture), io.BytesIO()
    image.info.clear()  # what is to be kept is among the options
    try:
        image.save(out, kind, **options, **({"exif": exif.tobytes()} if exif else {}))
    except (ValueError, RuntimeError, OSError, struct.error) as error:  # such as EXIF that is longer than a JPEG can hold
        way = "" if kind == "PNG" else " Use a name that ends in .png."
        raise StorageError(f"it cannot be written as {kind}: {str(error).rstrip('.')}.{way}") from error
    return out.getvalue(), tuple(notes)


def on_white(picture: Picture) -> Picture:
    """The same picture without transparency: as it is seen on white paper."""
    if picture.alpha is None:
        return picture
    most = np.iinfo(picture.colour.dtype).max
    share = picture.alpha[..., None].astype(np.float32) / most
    laid = picture.colour * share + most * (1 - share)
    return replace(picture, colour=(laid + 0.5).astype(picture.colour.dtype), alpha=None)


def _png(picture: Picture, exif: Image.Exif, facts: provenance.Facts) -> bytes:
    chunks = [(name, content) for name, content, *_ in provenance.chunks(facts).chunks]
    if picture.icc:
        chunks.insert(0, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.icc)))
    if picture.dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(n / 0.0254) for n in picture.dpi), 1)))  # per metre
    if exif:
        chunks.append((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    planes = picture.colour if picture.alpha is None else np.concatenate((picture.colour, picture.alpha[..., None]), 2)
    return deep.png(planes, chunks)
