"""Sheets that show people something: PNG files that say that they are sheets, so that a new one may take an old one's place."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..core.errors import UsageError
from ..runs.grid import save_bytes

MARK = "sheet"
"""A key of the `ganforge` chunk; results of applying and generating have the chunk, too, and are not to be lost."""


def check_free(path: Path, overwrite: bool) -> None:
    """Raise UsageError where a file that is no sheet would be replaced, unless that is asked for."""
    if path.exists() and not overwrite and not _is_sheet(path):
        raise UsageError(f"{path} exists and is no sheet of this kind. Choose another name with -o, or replace it with --overwrite.")


def save(image: Image.Image, path: Path, info: PngInfo) -> None:
    """Write the sheet, whole or not at all, with these chunks. Raises StorageError where the disk refuses."""
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info, compress_level=1)
    save_bytes(out.getvalue(), path)


def _is_sheet(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return MARK in json.loads(image.info.get("ganforge", "{}"))
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):  # no file of ours
        return False
