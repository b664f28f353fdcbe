"""Networks from image to image that a restoration can use, by name: (n, inputs, h, w) -> (n, outputs, h * scale, w * scale)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import compact as _compact
from . import resunet as _resunet
from . import rrdb as _rrdb
from .translator import Translator


class Restorer(NamedTuple):
    """A network, called as network(inputs, outputs, width, blocks=..., scale=...), and its usual size."""

    network: Callable[..., Translator]
    width: int
    blocks: int

    def build(self, inputs: int, outputs: int, width: int, blocks: int, scale: int) -> Translator:
        """The network; a width or blocks of 0 are the usual ones. Raises ValueError for a scale other than 1, 2, 3 or 4."""
        return self.network(inputs, outputs, width or self.width, blocks=blocks or self.blocks, scale=scale)


auto = Restorer(_resunet.ResUNet, 0, 0)
"""What suits the task."""
resunet = Restorer(_resunet.ResUNet, 16, 2)
"""A U-Net of gated residual blocks without norms over places, after NAFNet."""
compact = Restorer(_compact.Compact, 24, 8)
"""Plain convolutions at the small size, pixel shuffle at the end: small and fast."""
rrdb = Restorer(_rrdb.RRDB, 64, 23)
"""Dense residual blocks after ESRGAN: large and slow."""
