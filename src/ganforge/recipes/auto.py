"""auto: relativistic pairing with cheap R1 and R2 on norm-free residual networks, sized to your data and your machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import penalties
from ..core.recipe import Named
from ..data.spec import DataSpec
from .r3gan import R3GAN


@dataclass(frozen=True, kw_only=True)
class Auto(R3GAN):
    """The default. R3GAN's game (arXiv:2501.05441) with finite-difference penalties; 0 means chosen at the start, and said."""

    width: int = 0
    blocks: int = 1
    expansion: int = 1
    group: int = -1
    patch: int = 0
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.r1_finite_difference, penalties.r2_finite_difference)
    penalty_weight: float = 0.0
    penalty_every: int = 4
    penalty_share: float = 0.25
    lr: float = 1e-3
    lr_end: float = 0.1
