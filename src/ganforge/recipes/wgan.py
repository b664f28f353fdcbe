"""WGAN: an earth-mover critic kept Lipschitz by weight clipping (Arjovsky et al., 2017, arXiv:1701.07875)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class WGAN(TwoPlayerRecipe):
    """The first Wasserstein GAN: five critic steps, clipping at 0.01, RMSprop (algorithm 1)."""

    networks: Annotated[image.Networks, Named(image)] = image.dcgan
    loss: Annotated[losses.Pair, Named(losses)] = losses.wasserstein
    z: int = 100
    critic_steps: int = 5
    clip: float = 0.01
    optimizer: str = "RMSprop"
    lr: float = 5e-5
