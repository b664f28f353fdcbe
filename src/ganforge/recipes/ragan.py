"""RaGAN: DCGAN judged against the average of the other side (Jolicoeur-Martineau, 2018, arXiv:1807.00734)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.recipe import Named
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class RaGAN(TwoPlayerRecipe):
    """How much more real than the average fake, not how real: reals must come to look less so as fakes improve (sec. 4.2)."""

    loss: Annotated[losses.Pair, Named(losses)] = losses.relativistic_average
