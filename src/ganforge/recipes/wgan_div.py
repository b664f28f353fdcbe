"""WGAN-div: a Wasserstein critic without Lipschitz constraint, slopes to the sixth power penalised (Wu et al., 2018, arXiv:1712.01026)."""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import losses, penalties
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class WGANDiv(TwoPlayerRecipe):
    """The penalty is part of the divergence itself, with k = 2 and p = 6; networks and number of critic steps are WGAN-GP's."""

    networks: Annotated[image.Networks, Named(image)] = image.dcgan_layer_norm
    loss: Annotated[losses.Pair, Named(losses)] = losses.wasserstein
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.wgan_div,)
    penalty_weight: float = 2.0
    critic_steps: int = 5
    beta1: float = 0.0
    beta2: float = 0.9
