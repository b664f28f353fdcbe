"""ProGAN: networks grown from a few pixels to the whole image, WGAN-GP, equalised learning rate (Karras et al., 2018, arXiv:1710.10196)."""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import losses, penalties
from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.spec import DataSpec
from ..methods.progressive import Progressive
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class ProGAN(TwoPlayerRecipe):
    """Progressive growing as shares of your budget."""

    networks: Annotated[image.Networks, Named(image)] = image.progan
    z: int = 512
    growth: float = 0.5
    """Share of the budget after which the networks have their full size. 0: from the start."""
    drift: float = 0.001
    """Weight of the squared logits of real images."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.wasserstein
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.gradient_penalty,)
    penalty_weight: float = 10.0
    lr: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.99

    def method(self, spec: DataSpec) -> Progressive:  # type: ignore[override]  # played around the game, not the game itself
        game = super().method(spec)
        if not (hasattr(game.generator, "level") and hasattr(game.discriminator, "as_grown")):
            raise UsageError("progan needs networks that grow: --networks progan. Other networks train with --recipe wgan-gp.")
        return Progressive(game, growth=self.growth, penalty=self.drift)
