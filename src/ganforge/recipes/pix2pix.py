"""pix2pix: from label maps, edges, maps to pictures, learnt from pairs (Isola et al., 2017, arXiv:1611.07004)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from .. import losses
from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.layouts import HOLES
from ..data.pairs import Pairs
from ..data.spec import DataSpec
from ..methods.paired import Paired
from ..networks.image import critics
from ..networks.image.resunet import ResUNet
from .parts import PairParts
from .translation import TranslationRecipe


@dataclass(frozen=True, kw_only=True)
class Pix2Pix(TranslationRecipe, PairParts):
    """The paper's losses, weights and budget around a generator of our own: its U-Net takes only sizes that 256 divides, and batch norm and
    dropout make it another network in training than in use.

    The game of pix2pixHD (arXiv:1711.11585): --scales 2 --loss least_squares --adversarial-weight 2 --pixel-weight 0 --feature-weight 40.
    40 times the mean over its layers is 10 times their sum, as in its published code, which takes the mean over the scales, too.
    """

    data: Pairs
    width: int = 32
    depth: int = 4
    """How often the generator halves the resolution."""
    blocks: int = 2
    """Its blocks at every resolution."""
    spade: bool = False
    """Tell the generator what the input shows at every resolution of its way up (SPADE): for label maps, whose plain areas norms forget."""
    critic: Annotated[critics.Critic, Named(critics)] = critics.patch
    """Discriminator: patch, which scores parts of an image, or unet, which scores every pixel."""
    scales: int = 1
    """Sizes at which discriminators judge: as it is, halved, quartered. Their losses are added up."""
    spectral: bool = False
    """Spectral norm in the discriminator."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.logistic
    adversarial_weight: float = 1.0
    pixel_weight: float = 100.0
    """Weight of the mean absolute difference to the wanted image."""
    feature_weight: float = 0.0
    """Weight of the same between the discriminator's maps (pix2pixHD)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_weights(self.data.size, self.data.size, "--size")

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"depth": (1, 8), "scales": (1, 4)}

    def dataset(self) -> Any:
        """The pairs. Raises UsageError for masks, which say what is missing: nothing is missing of what this game is given."""
        data = self.data.load()
        if data.brings == "masks":
            raise UsageError(f"{self.data.path} holds images with masks, and pix2pix fills no holes: {HOLES}")
        return data

    def method(self, spec: DataSpec) -> Paired:
        shared = self.shared(spec)
        shared["terms"] |= self.seen(spec.device)
        sizes = {"width": self.width, "depth": self.depth, "blocks": self.blocks}
        generator = ResUNet(spec.given[0], spec.shape[0], **sizes, spade=self.spade)
        critic = self.critic.scales(spec.shape[0] + spec.given[0], self.d_width, scales=self.scales, spectral=self.spectral)
        parts = generator.to(spec.device), critic.to(spec.device)
        return Paired(*parts, pixel_weight=self.pixel_weight, feature_weight=self.feature_weight, **shared)
