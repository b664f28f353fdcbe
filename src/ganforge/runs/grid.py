"""Images for eyes: tensors to pictures, many pictures to one, and a save that never leaves half a file."""

from __future__ import annotations

import io
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..core.checkpoint import replace_file
from ..core.errors import StorageError, UsageError
from ..metrics.features.base import pixels

SMALL = 32
"""Images with no side longer than this are enlarged in grids, or nobody could judge them."""
EYES = 64
"""The side that small images are enlarged to, at most."""
GAP_GREY = 48
"""Dark enough for white digits, light enough to show where a black image ends."""


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] floats to 0..255, any shape; uint8 passes through.

    x * 127.5 + 127.5 rounded half up (adding 128 and cutting the fraction): -1 -> 0, 0 -> 128, 1 -> 255. Values
    outside are clamped and NaN is black, so that the picture of a broken generator can still be drawn.
    """
    if x.dtype == torch.uint8:
        return x
    return pixels(torch.nan_to_num(x.detach().float(), nan=-1.0))


def to_pil(x: Tensor) -> list[Image.Image]:
    """(n, c, h, w) in [-1, 1] or uint8 to n pictures: c = 1 grey, 3 RGB, 4 RGBA; 2 shows the first channel, 5 or more the first 3."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        hint = " One image needs a first axis: x[None]." if x.ndim == 3 else ""
        raise UsageError(f"images must have shape (n, c, h, w), no axis empty but n; got {tuple(x.shape)}.{hint}")
    channels = {1: 1, 2: 1, 4: 4}.get(x.shape[1], 3)
    pixels = to_uint8(x[:, :channels]).permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return [Image.fromarray(one[:, :, 0] if channels == 1 else one) for one in pixels]


def _columns(n: int) -> int:
    """Near-square, and without holes in the last row where a slightly wider grid avoids them: 32 -> 8, 12 -> 4, 7 -> 3."""
    start = math.isqrt(n - 1) + 1
    return next((c for c in range(start, int(1.5 * math.sqrt(n)) + 1) if n % c == 0), start)


def grid(images: Tensor, columns: int = 0, gap: int = 2, zoom: int = 0) -> Image.Image:
    """(n, c, h, w) in [-1, 1] or uint8 to one picture, row by row.

    `columns` 0: near-square. `gap`: pixels between images and around them, not enlarged. `zoom`: every image is
    enlarged by this whole factor with nearest neighbour; 0: images of at most 32 pixels are brought near 64.
    """
    pictures = to_pil(images)
    if not pictures:
        raise UsageError("a grid needs at least one image; got none.")
    if columns < 0 or gap < 0 or zoom < 0:
        raise UsageError(f"columns, gap and zoom must not be negative; got {columns}, {gap} and {zoom}.")
    columns = min(columns or _columns(len(pictures)), len(pictures))
    longest = max(pictures[0].size)
    zoom = zoom or (max(1, EYES // longest) if longest <= SMALL else 1)
    width, height = (side * zoom for side in pictures[0].size)
    rows = -(-len(pictures) // columns)
    mode = pictures[0].mode
    paper = {"L": (GAP_GREY,), "RGB": (GAP_GREY,) * 3, "RGBA": (0,) * 4}[mode]
    sheet = Image.new(mode, (gap + columns * (width + gap), gap + rows * (height + gap)), paper)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (gap + column * (width + gap), gap + row * (height + gap)))
    return sheet


def save_bytes(content: bytes, path: Path) -> Path:
    """Write a whole file or nothing, and say so in words where the disk refuses. Folders are made."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}. Is the disk full or the folder read-only?") from error
    return path


def save_png(image: Image.Image, path: Path) -> Path:
    """Save as PNG, whole or not at all, whatever the ending of `path`."""
    buffer = io.BytesIO()
    # Level 1: at 256 pixels the encoder at its default costs more than the generator, for a sixth of the bytes.
    image.save(buffer, format="PNG", compress_level=1)
    return save_bytes(buffer.getvalue(), path)
