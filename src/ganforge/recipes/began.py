"""BEGAN: an auto-encoding critic, kept in balance with the generator (Berthelot et al., 2017, arXiv:1703.10717)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ..core.recipe import Named
from ..data.spec import DataSpec
from ..methods.autoencoding import BEGAN as Method
from ..networks import image
from ..networks.heads import AutoEncoder, Encoder
from .base import GameRecipe, refusing


@dataclass(frozen=True, kw_only=True)
class BEGAN(GameRecipe):
    """Watch `balance/convergence`: it falls while the model improves."""

    networks: Annotated[image.Networks, Named(image)] = image.elu
    condition: str = "concat"
    """How generator and decoder learn the class, where there are labels: concat, norm. The encoder sees it as an extra channel."""
    diversity: float = 0.5
    """The paper's gamma: error on generated pictures over that on real ones. Lower: cleaner and more alike."""
    gain: float = 0.01
    """The paper's lambda_k: how fast the weight of generated pictures follows the balance. 0.001 there, for far longer runs."""
    lr: float = 1e-4
    lr_end: float = 0.1

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"diversity": (0, 1), "gain": (0, 1)}

    def method(self, spec: DataSpec) -> Method:
        shape, classes, width = spec.shape, spec.classes, self.d_width or self.width
        with refusing():
            generator = self.networks.generator(shape, self.z, self.width, classes, self.condition)
            encoder = Encoder(self.networks.discriminator(shape, width, classes, "concat"), self.z)
            decoder = self.networks.generator(shape, self.z, width, classes, self.condition)  # sec. 3.5: as the generator, as long a code
        critic = AutoEncoder(encoder, decoder, power=1)
        return Method(generator.to(spec.device), critic.to(spec.device), diversity=self.diversity, gain=self.gain, **self.shared(spec))
