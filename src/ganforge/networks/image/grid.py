"""How an image of any size is built from a small grid by doublings."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import pad


class Grid(NamedTuple):
    """The smallest feature map, (height, width), and how often it doubles."""

    height: int
    width: int
    doublings: int

    def crop(self, x: Tensor, height: int, width: int) -> Tensor:
        """(n, c, >= height, >= width) -> (n, c, height, width), about the centre."""
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        return x[:, :, top : top + height, left : left + width]

    def pad(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> the size that halves down to this grid, zeros around."""
        dy, dx = (self.height << self.doublings) - x.shape[2], (self.width << self.doublings) - x.shape[3]
        return pad(x, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2)) if dx or dy else x


def grid(height: int, width: int, smallest: int = 4) -> Grid:
    """The grid for images of (height, width): its shorter side lies in [smallest, 2 * smallest).

    28 -> 7 doubled twice; 32 -> 4 doubled three times; 100 -> 7 doubled four times, cropped from 112; 64 x 96 -> 4 x 6.
    Sizes are multiples of 4 from 8 to 1024; raises ValueError otherwise.
    """
    for side in (height, width):
        if side % 4 or not 8 <= side <= 1024:
            legal = min(max(round(side / 4) * 4, 8), 1024)
            raise ValueError(f"image sides must be multiples of 4 from 8 to 1024; got {height}x{width}. Nearest to {side}: {legal}.")
    doublings = max(0, (min(height, width) // smallest).bit_length() - 1)
    step = 1 << doublings
    return Grid(-(-height // step), -(-width // step), doublings)
