"""SAGAN: SNGAN with self-attention, spectral norm in both networks and two learning rates (Zhang et al., 2019, arXiv:1805.08318)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class SAGAN(TwoPlayerRecipe):
    """Far parts of an image see each other; one critic step each, at a fourfold learning rate (sec. 3.1 and 3.2).

    The paper's networks are for 128 px; ours at 32 px have the parameters of mimicry's and StudioGAN's.
    Attention sits at half the image's size, but at 32 x 32 at most: the paper's best.
    """

    networks: Annotated[image.Networks, Named(image)] = image.sagan
    loss: Annotated[losses.Pair, Named(losses)] = losses.hinge
    width: int = 256
    d_width: int = 128
    condition: str = "norm"
    lr: float = 1e-4
    d_lr: float = 4e-4
    beta1: float = 0.0
    beta2: float = 0.9
