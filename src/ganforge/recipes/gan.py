"""GAN: fully connected networks and the non-saturating loss (Goodfellow et al., 2014, arXiv:1406.2661)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class GAN(TwoPlayerRecipe):
    """The first GAN. `--loss minimax` is the game of the paper's equation 1; the default is the form its section 3 advises."""

    networks: Annotated[image.Networks, Named(image)] = image.mlp
    z: int = 100
    width: int = 256
    d_condition: str = "concat"
