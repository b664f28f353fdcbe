"""FastGAN: skip-layer excitation and a self-supervised discriminator, for few images (Liu et al., 2021, arXiv:2101.04775)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.spec import DataSpec
from ..methods.self_supervised import SelfSupervised
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class FastGAN(TwoPlayerRecipe):
    """Made for a hundred to some thousand images. The redrawing loss is a multi-scale L1 distance, where the paper has LPIPS;
    the hinge's margin is 1, where the published code draws it from 0.8 to 1.

    The paper's networks for 256 px: --width 32 --d-width 16 --batch 8.
    """

    networks: Annotated[image.Networks, Named(image)] = image.fastgan
    loss: Annotated[losses.Pair, Named(losses)] = losses.hinge
    z: int = 256
    redraw: float = 1.0
    """Weight of the discriminator's redrawing of real images. 0: none, and then any --networks will do."""
    augment: str = "diffaugment"

    def method(self, spec: DataSpec) -> SelfSupervised:  # type: ignore[override]  # played around the game, not the game itself
        game = super().method(spec)
        if self.redraw and not hasattr(game.discriminator, "redrawn"):
            raise UsageError("fastgan needs a discriminator that redraws: --networks fastgan, or --redraw 0 without it.")
        return SelfSupervised(game, weight=self.redraw)
