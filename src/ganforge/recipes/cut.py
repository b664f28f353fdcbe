"""CUT: translation between two domains without pairs, by contrast of patches (Park et al., 2020, arXiv:2007.15651)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..core.errors import UsageError
from ..data.domains import Domains
from ..data.spec import DataSpec
from ..methods.contrastive import CUT as Method
from ..networks.image.patch import Patch
from ..networks.image.resnet_aa import ResNet
from ..networks.patches import PatchHeads
from .translation import TranslationRecipe


@dataclass(frozen=True, kw_only=True)
class CUT(TranslationRecipe):
    """One generator and one discriminator, from A to B. Needs domains of like content: horses to zebras, not cats to dogs."""

    data: Domains
    blocks: int = 9
    """Residual blocks of the generator."""
    contrast_weight: float = 1.0
    """Weight of every place of the image staying what it is."""
    identity: bool = True
    """Ask the same of images that are of the wanted domain already, which keeps colours."""
    mirror: bool = False
    """Mirror half of the inputs, and ask for the mirrored output. Needs a --size that 8 divides."""
    patches: int = 256
    """Places that are compared, on each of five maps: the image, both halvings, the first block and the one in the middle."""
    residual: bool = False
    """Let the generator draw what is to change, not the whole image: it starts by giving back what it is given."""
    spectral: bool = False
    """Spectral norm in the discriminator."""

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"blocks": (1, math.inf), "patches": (2, math.inf)}

    def dataset(self) -> Any:
        return self.data.load()

    def method(self, spec: DataSpec) -> Method:
        shared = self.shared(spec)
        if self.loss.relativistic:
            raise UsageError("there are no pairs for a relativistic loss to compare: --loss least_squares, hinge or logistic.")
        a, b = spec.given[0], spec.shape[0]
        if a != b:
            raise UsageError(f"contrast needs domains of as many channels; got {a} and {b}. cyclegan can: --identity-weight 0.")
        if self.mirror and spec.shape[2] % ResNet.modulus:  # the generator pads others on the right, and a mirrored map would be shifted
            near = max(1, round(spec.shape[2] / ResNet.modulus)) * ResNet.modulus
            raise UsageError(f"--mirror needs a --size that {ResNet.modulus} divides; got {spec.shape[2]}. Nearest: {near}.")
        generator = ResNet(a, b, self.width, self.blocks, self.residual)
        with torch.no_grad():
            heads = PatchHeads([m.shape[1] for m in generator.features(torch.zeros(1, a, 8, 8))])
        critic = Patch(b, self.d_width, spectral=self.spectral)
        own = {"contrast_weight": self.contrast_weight, "patches": self.patches, "identity": self.identity, "mirror": self.mirror}
        return Method(generator.to(spec.device), critic.to(spec.device), heads.to(spec.device), **shared | own)
