"""WGAN-GP: an earth-mover critic kept Lipschitz by a gradient penalty (Gulrajani et al., 2017, arXiv:1704.00028)."""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import losses, penalties
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class WGANGP(TwoPlayerRecipe):
    """Wasserstein GAN with gradient penalty: no batch norm in the critic, five critic steps (algorithm 1)."""

    networks: Annotated[image.Networks, Named(image)] = image.dcgan_layer_norm
    loss: Annotated[losses.Pair, Named(losses)] = losses.wasserstein
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.gradient_penalty,)
    penalty_weight: float = 10.0
    critic_steps: int = 5
    lr: float = 1e-4
    beta1: float = 0.0
    beta2: float = 0.9
