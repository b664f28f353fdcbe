"""A network that turns pictures into pictures, applied to arrays of any size within the memory there is."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core import limits
from ...core.errors import MemoryShortError, UsageError
from ...core.memory import is_short
from .tiles import GRID, Array, assembled, floats, spans

PROBE = 64
"""Side of the picture on which a network shows what memory it takes."""
WORKING = 6
"""Memory while a network runs, in sizes of its largest layer: its input, its output, and what a convolution lays out beside them."""
SHARE, CEILING = 4, 2**31
"""A tile may take one part in SHARE of the free memory, and no more than CEILING bytes on a CPU, which gains nothing from larger ones."""
LARGEST, LEAST = 512, 64
"""Bounds of the side of a tile that is chosen for the user: larger ones are no faster, unless most of them is margin."""
WHOLE = 4_000_000
"""Pixels up to which a network that looks at the whole picture gets it whole."""
BLEND, BLEND_INEXACT = 16, 64
"""Pixels over which neighbouring tiles fade into each other."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in the luminance (BT.601)."""


def as_it_is(x: Tensor) -> Tensor:
    """The picture itself is the network's input."""
    return x


class Made(NamedTuple):
    """What became of a picture, in how many tiles, and what there is to say about it."""

    picture: Array
    tiles: int
    notes: tuple[str, ...]


def check_tile(tile: int | str) -> None:
    """Raise UsageError for a tile that is neither "auto" nor 0 nor at least GRID pixels."""
    if tile != "auto" and (not isinstance(tile, int) or tile < 0 or 0 < tile < GRID):
        raise UsageError(f"tile must be auto, 0 for the whole picture at once, or at least {GRID} pixels; got {tile}.")


@dataclass
class Applier:
    """A network and what a picture needs to become its input."""

    network: Callable[[Tensor], Tensor]
    """given (1, c, h, w) -> (1, 1 or 3, h scale, w scale) in [-1, 1]."""
    scale: int = 1
    reach: int = 0
    """Pixels of the input that an output pixel sees to each side, at most."""
    exact: bool = True
    """Whether it sees nothing beyond them, such as the average of the whole picture."""
    modulus: int = 1
    """The network's strides, all of them together."""
    given: Callable[[Tensor], Tensor] = as_it_is
    """RGB (1, 3, h, w) in [-1, 1] -> its input; with a mask (1, 4, h, w), the last channel -1 for known and 1 for a hole; with hints
    (1, 7, h, w): RGB of what is known, and -1 for unknown and 1 for known."""
    fill: Callable[[Tensor, Tensor], Tensor] | None = None
    """For networks that fill holes: (1, 3, h, w) and its holes (1, 1, h, w), 0 or 1 -> the picture filled in an ordinary way."""
    hinted: bool = False
    """Whether it takes dots of known colour."""
    channels: int = 3
    """Of pictures: 3, or what else `given` takes at least."""
    keeps_grey: bool = True
    """Whether what is made of a grey picture is grey."""
    device: str = "cpu"
    notes: tuple[str, ...] = ()
    """What there is to say beside every result."""
    most: int = field(default=0, repr=False)
    """Side of a tile that memory was found to allow; 0: not known."""

    @property
    def grid(self) -> int:
        """Tiles start at multiples of it."""
        return math.lcm(GRID, self.modulus)

    def run(self, picture: Array, *, tile: int | str = "auto", grey: bool = False) -> Made:
        """picture (h, w, c), c from `channels` on, uint8, uint16 or float32 in [-1, 1] -> (h scale, w scale, 1 or 3) of the same kind.

        tile: side of a tile in pixels, 0 for the whole picture at once, or "auto". grey: keep the luminance alone. Where memory runs
        out, tiles of half the size are tried, and `notes` say so; raises MemoryShortError where the smallest do not fit,
        DivergedError for results that are no numbers, UsageError for a tile of fewer than GRID pixels.
        """
        height, width = picture.shape[:2]
        notes = [*self.notes]
        side = self._side(height, width, tile)
        while True:
            made, count = self._attempt(picture, side, grey)
            if made is not None:
                break
            longest = min(side, max(height, width))
            if longest <= self.grid:
                raise MemoryShortError(f"memory ran out on a tile of {self.grid} pixels, the smallest there is.")
            side = max(self.grid, longest // 2 // self.grid * self.grid)
            self.most = side
            notes.append(f"memory was short: tiles of {side} pixels were taken")
        if count > 1 and not self.exact:
            notes.append("this network looks at whole pictures, and this one was too large: tone may differ a little between its tiles")
        elif count > 1 and self._margin(side) < self.reach:
            notes.append(f"tiles of {side} pixels are small for a network that sees {self.reach} to each side: look for seams")
        return Made(made, count, tuple(notes))

    def takes_whole(self, height: int, width: int) -> bool:
        """Whether a picture is small enough for a network that looks at the whole of it to be given the whole."""
        return height * width <= min(WHOLE, self._pixels())

    def _attempt(self, picture: Array, side: int, grey: bool) -> tuple[Array | None, int]:
        """The result and the number of tiles; None for the result where memory ran out."""
        height, width = picture.shape[:2]
        blend = BLEND if self.exact else BLEND_INEXACT
        rows, columns = (spans(length, side, self._margin(side), blend, self.grid) for length in (height, width))
        channels = 1 if grey else self._probed[0]
        try:
            made = assembled(picture, partial(self._piece, grey=grey), rows, columns, self.scale, channels)
            return made, len(rows) * len(columns)
        except (MemoryError, RuntimeError) as error:
            if not is_short(error):
                raise
        gc.collect()  # outside of the handler, whose traceback holds the tensors
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        return None, 0

    @torch.inference_mode()
    def _piece(self, pixels: Array, grey: bool) -> NDArray[np.float32]:
        """(h, w, 3, 4 or 7) -> (h scale, w scale, b) float32."""
        x = torch.from_numpy(floats(pixels)).permute(2, 0, 1)[None].contiguous().to(self.device)
        made: NDArray[np.float32] = self.network(self.given(x))[0].float().permute(1, 2, 0).cpu().numpy()
        return (made @ LUMA)[..., None] if grey and made.shape[2] == 3 else made

    def _side(self, height: int, width: int, tile: int | str) -> int:
        whole = max(height, width)
        check_tile(tile)
        if isinstance(tile, int):
            side = -(-tile // self.grid) * self.grid or whole
        elif not self.exact and self.takes_whole(height, width):
            side = whole
        else:
            side = math.isqrt(self._pixels()) - 2 * self.reach - BLEND
            side = max(self.grid, min(max(LARGEST, 4 * self.reach), max(LEAST, side)) // self.grid * self.grid)
        return min(side, self.most) if self.most else side

    def _margin(self, side: int) -> int:
        """Pixels read around a tile: as far as the network sees, but no more than the tile is wide."""
        return min(self.reach, side)

    def _pixels(self) -> int:
        """Pixels of the input that memory allows at once."""
        if self.device.startswith("cuda"):
            free = torch.cuda.mem_get_info()[0] // 2
        else:
            found = limits.memory()
            free = min((found[1] if found else 2**32) // SHARE, CEILING)
        return int(free / self._probed[1])

    @cached_property
    def _probed(self) -> tuple[int, float]:
        """Channels of the output, and bytes that the network takes for a pixel of the input."""
        sizes = []
        hooks = [
            module.register_forward_hook(lambda _m, _given, made: sizes.append(made.numel()) if isinstance(made, Tensor) else None)
            for module in (self.network.modules() if isinstance(self.network, nn.Module) else ())
        ]
        picture = np.zeros((PROBE, PROBE, self.channels), np.uint8)
        try:
            made = self._piece(picture, grey=False)
        finally:
            for hook in hooks:
                hook.remove()
        largest = max([*sizes, made.size, picture.size])
        return made.shape[2], 4 * WORKING * largest / PROBE**2
