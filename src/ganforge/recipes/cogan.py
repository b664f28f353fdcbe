"""CoGAN: corresponding pictures of several domains from unpaired ones (Liu & Tuzel, 2016, arXiv:1606.07536)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..core.errors import UsageError
from ..data.spec import DataSpec
from ..methods.two_player import TwoPlayer
from ..networks import image
from ..networks.image import coupled
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class CoGAN(TwoPlayerRecipe):
    """Each class is a domain: all layers are tied but those next to the pixels, so one seed gives the same thing in every domain.

    Draw it as such: `gan generate RUN --seeds 0-15 --class photo`, then `--class sketch`. One batch holds examples of all domains, and
    each fake is of the domain of its real one; the paper draws all domains from the same latents, which has the same mean.
    """

    z: int = 100
    condition: str = "tied"
    d_condition: str = "tied"

    def method(self, spec: DataSpec) -> TwoPlayer:
        if spec.classes < 2:
            raise UsageError(
                f"cogan needs at least two domains, each a class of the data; got {spec.classes}. Put each into its own sub-folder."
            )
        if self.label_dropout:
            raise UsageError("--label-dropout hides domains, and cogan has a layer for each: leave it at 0.")
        return super().method(spec)

    def pair(self, spec: DataSpec) -> image.Networks:
        pair = super().pair(spec)
        return image.Networks(partial(coupled.Generator, pair), partial(coupled.Discriminator, pair))
