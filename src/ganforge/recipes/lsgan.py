"""LSGAN: DCGAN with the least-squares loss (Mao et al., 2017, arXiv:1611.04076)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.recipe import Named
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class LSGAN(TwoPlayerRecipe):
    """Least squares in place of cross-entropy: a gradient even for fakes that are far off."""

    loss: Annotated[losses.Pair, Named(losses)] = losses.least_squares
    z: int = 100
