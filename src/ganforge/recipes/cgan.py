"""Conditional GAN: both networks see the class by concatenation (Mirza & Osindero, 2014, arXiv:1411.1784)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.spec import DataSpec
from ..methods.two_player import TwoPlayer
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class CGAN(TwoPlayerRecipe):
    """The first conditional GAN. Needs labels: sub-folders, a labels file, or a set that has them."""

    networks: Annotated[image.Networks, Named(image)] = image.mlp
    z: int = 100
    width: int = 256
    d_condition: str = "concat"

    def method(self, spec: DataSpec) -> TwoPlayer:
        if not spec.classes:
            raise UsageError("cgan needs labels: put each class into its own sub-folder, or give --labels labels.csv.")
        return super().method(spec)
