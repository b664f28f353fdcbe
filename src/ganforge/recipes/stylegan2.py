"""StyleGAN2: a latent mapped to styles of every layer, lazy R1, path length regularisation (Karras et al., 2020, arXiv:1912.04958)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import Annotated

from .. import penalties
from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.spec import DataSpec
from ..methods.style import Style
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class StyleGAN2(TwoPlayerRecipe):
    """Config F of the paper, with the numbers of StyleGAN2-ADA (arXiv:2006.06676, app. C) where they depend on the data.

    ADA's CIFAR-10 networks: --width 512 --depth 2 --no-residual --mixing 0 --path-weight 0 --penalty-weight 0.01.
    """

    networks: Annotated[image.Networks, Named(image)] = image.stylegan2
    z: int = 512
    style: int = 0
    """Length of the style vector. 0: as the latent."""
    depth: int = 8
    """Layers of the mapping from latent to style."""
    residual: bool = True
    """Residual blocks in the discriminator."""
    mixing: float = 0.9
    """Share of the training images whose finer layers follow a second latent."""
    path_weight: float = 2.0
    """Weight of the path length penalty, on every 4th step. 0: none, and then any --networks will do."""
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.r1,)
    penalty_weight: float = 0.0
    """Weight of each penalty at the start. 0: 0.0002 times the pixels of an image, over the batch."""
    penalty_every: int = 16
    lr: float = 2.5e-3
    beta1: float = 0.0
    beta2: float = 0.99

    def method(self, spec: DataSpec) -> Style:  # type: ignore[override]  # played around the game, not the game itself
        if self.penalty and not self.penalty_weight:
            return replace(self, penalty_weight=gamma(spec.shape, self.run.batch)).method(spec)
        game = super().method(spec)
        if self.path_weight and not hasattr(game.generator, "styles"):
            raise UsageError("stylegan2 needs networks with styles: --networks stylegan2, or --path-weight 0 without path length penalty.")
        return Style(game, weight=self.path_weight).to(spec.device)

    def pair(self, spec: DataSpec) -> image.Networks:
        if self.networks is not image.stylegan2:
            self.only_with("--networks stylegan2", "style", "depth", "residual", "mixing")
            return self.networks
        generator = partial(image.stylegan2.generator, style=self.style, depth=self.depth, mixing=self.mixing)
        return image.Networks(generator, partial(image.stylegan2.discriminator, residual=self.residual))


def gamma(shape: tuple[int, ...], batch: int) -> float:
    """The weight of R1: 0.0002 pixels / batch (StyleGAN2-ADA's rule for new data, arXiv:2006.06676, its published code)."""
    return 2e-4 * shape[1] * shape[2] / batch
