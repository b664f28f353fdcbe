"""EBGAN: the critic is an auto-encoder, its error an energy (Zhao et al., 2017, arXiv:1609.03126)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..data.spec import DataSpec
from ..methods.autoencoding import EBGAN as Method
from ..networks.heads import AutoEncoder, Encoder
from .base import GameRecipe, refusing


@dataclass(frozen=True, kw_only=True)
class EBGAN(GameRecipe):
    """Real pictures get low energy, generated ones are pushed up to a margin."""

    condition: str = "concat"
    """How generator and decoder learn the class, where there are labels: concat, norm. The encoder sees it as an extra channel."""
    code_size: int = 32
    """Length of the auto-encoder's code."""
    margin: float = 0.2
    """Energy up to which generated pictures are pushed: a mean squared error per pixel, whose values lie in [-1, 1]."""
    pull_away: float = 0.1
    """Weight of the term that keeps the codes of generated pictures apart. 0: none."""

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"code_size": (1, math.inf), "margin": (0, 4), "pull_away": (0, 1e30)}

    def method(self, spec: DataSpec) -> Method:
        shape, classes, width = spec.shape, spec.classes, self.d_width or self.width
        with refusing():
            generator = self.networks.generator(shape, self.z, self.width, classes, self.condition)
            encoder = Encoder(self.networks.discriminator(shape, width, classes, "concat"), self.code_size)
            decoder = self.networks.generator(shape, self.code_size, width, classes, self.condition)
        critic = AutoEncoder(encoder, decoder, power=2)
        return Method(generator.to(spec.device), critic.to(spec.device), margin=self.margin, pull_away=self.pull_away, **self.shared(spec))
