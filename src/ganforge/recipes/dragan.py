"""DRAGAN: DCGAN with a penalty on slopes around the data (Kodali et al., 2017, arXiv:1705.07215)."""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import penalties
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class DRAGAN(TwoPlayerRecipe):
    """A gradient penalty near real images, against the sharp peaks of a discriminator."""

    networks: Annotated[image.Networks, Named(image)] = image.dcgan_layer_norm
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.dragan,)
    penalty_weight: float = 10.0
