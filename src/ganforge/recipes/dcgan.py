"""DCGAN: strided convolutions and batch norm (Radford et al., 2015, arXiv:1511.06434)."""

from __future__ import annotations

from dataclasses import dataclass

from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class DCGAN(TwoPlayerRecipe):
    """The classic convolutional GAN, weights started by fan-in."""

    z: int = 100
    width: int = 64
    reuse_fakes: bool = True
