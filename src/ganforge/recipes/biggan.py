"""BigGAN: wide residual networks, latent and class in every norm, orthogonal start (Brock et al., 2019, arXiv:1809.11096)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.recipe import Named
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class BigGAN(TwoPlayerRecipe):
    """Numbers of StudioGAN's CIFAR-10 run, without orthogonal regularisation as there; averaging as in all our recipes.

    The paper's ImageNet run at 128 px: `--z 120 --lr 5e-5 --d-lr 2e-4 --beta1 0 --critic-steps 2 --batch 2048`.
    Large: on a CPU take `--width 16`.
    """

    networks: Annotated[image.Networks, Named(image)] = image.biggan
    loss: Annotated[losses.Pair, Named(losses)] = losses.hinge
    z: int = 80
    width: int = 96
    condition: str = "norm"
    critic_steps: int = 5
