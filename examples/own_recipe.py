"""A recipe of one's own: other defaults, one new option: python examples/own_recipe.py photos/

The same from the command line: gan train photos/ --recipe examples/own_recipe.py:Calm --calm 20
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

import ganforge
from ganforge import losses, penalties
from ganforge.core.recipe import Named
from ganforge.data.spec import DataSpec
from ganforge.methods.two_player import TwoPlayer
from ganforge.networks import image
from ganforge.recipes.base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class Calm(TwoPlayerRecipe):
    """DCGAN's generator against a discriminator without norms, held by R1 (Mescheder et al., 2018, arXiv:1801.04406)."""

    networks: Annotated[image.Networks, Named(image)] = image.dcgan_plain
    loss: Annotated[losses.Pair, Named(losses)] = losses.logistic
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.r1,)
    calm: float = 10.0
    """The larger, the smoother the discriminator."""

    def method(self, spec: DataSpec) -> TwoPlayer:
        """The new option is turned into one that the parent knows."""
        return TwoPlayerRecipe.method(dataclasses.replace(self, penalty_weight=self.calm / spec.shape[1]), spec)


def main(data: str = "fashion-small", **options) -> ganforge.Model:
    """Train the recipe above."""
    run = ganforge.train(data, f"{__file__}:Calm", **{"minutes": 5, **options})
    return ganforge.load(run.folder, code=[__file__])


if __name__ == "__main__":
    main(*sys.argv[1:2]).generate(seeds=[0])[0].save("own_recipe.png")
