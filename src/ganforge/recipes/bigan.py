"""BiGAN: an encoder learnt beside the generator finds the latent of a picture (Donahue et al., 2017, arXiv:1605.09782)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .. import losses
from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.spec import DataSpec
from ..methods.encoder import BiGAN as Method
from ..networks.heads import Encoder, Joint
from .base import GameRecipe, refusing


@dataclass(frozen=True, kw_only=True)
class BiGAN(GameRecipe):
    """The discriminator sees pairs of picture and latent. The encoder is saved as `encoder`."""

    condition: str = "concat"
    """How the generator learns the class, where there are labels: concat, norm."""
    d_condition: str = "projection"
    """How the discriminator learns the class: projection, concat."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.logistic
    """Adversarial loss; generator and encoder descend it with real and generated pairs exchanged."""
    lr_end: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss.relativistic:
            raise UsageError("bigan needs a loss of single examples (logistic, hinge, least_squares); a relativistic loss compares pairs.")

    def method(self, spec: DataSpec) -> Method:
        shape, classes, width = spec.shape, spec.classes, self.d_width or self.width
        with refusing():
            generator = self.networks.generator(shape, self.z, self.width, classes, self.condition)
            encoder = Encoder(self.networks.discriminator(shape, width), self.z)
            told = classes if self.d_condition == "concat" else 0
            trunk = self.networks.discriminator(shape, width, classes, self.d_condition)
            joint = Joint(trunk, self.z, 8 * width, classes - told)
        return Method(generator.to(spec.device), encoder.to(spec.device), joint.to(spec.device), loss=self.loss, **self.shared(spec))
