"""SNGAN: residual networks, spectral norm and the hinge loss (Miyato et al., 2018, arXiv:1802.05957)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class SNGAN(TwoPlayerRecipe):
    """Spectral norm on every layer of the critic; class-conditional norm and projection (arXiv:1802.05637) with labels."""

    networks: Annotated[image.Networks, Named(image)] = image.sngan
    loss: Annotated[losses.Pair, Named(losses)] = losses.hinge
    width: int = 256
    d_width: int = 128
    condition: str = "norm"
    critic_steps: int = 5
    lr_end: float = 0.0
    beta1: float = 0.0
    beta2: float = 0.9
