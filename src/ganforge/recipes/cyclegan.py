"""CycleGAN: translation between two domains without pairs, there and back (Zhu et al., 2017, arXiv:1703.10593)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core import parallel
from ..core.errors import UsageError
from ..data.domains import Domains
from ..data.spec import DataSpec
from ..methods.unpaired import CycleGAN as Method
from ..methods.unpaired import Pool
from ..networks.image.patch import Patch
from ..networks.image.resnet_aa import ResNet
from .translation import TranslationRecipe

POOLS = (
    "every process keeps a pool of earlier fakes, and a checkpoint that of the first alone: once resumed, this run goes on, but is no "
    "longer bit-identical to an uninterrupted one, as --pool 0 is"
)


@dataclass(frozen=True, kw_only=True)
class CycleGAN(TranslationRecipe):
    """Learns both ways at once: `generator` is A to B, `backward` B to A. Where one way is enough, cut is cheaper.

    Colours that come out inverted call for a higher --identity-weight, or a --colour-weight.
    """

    data: Domains
    blocks: int = 9
    """Residual blocks of each generator; 6 were the paper's for images of 128 px."""
    cycle_weight: float = 10.0
    """Weight of being where one was after going there and back."""
    identity_weight: float = 5.0
    """Weight of leaving images of the wanted domain as they are. 0: none."""
    pool: int = 50
    """Earlier fakes that discriminators are shown again. 0: none."""
    residual: bool = False
    """Let the generator draw what is to change, not the whole image: it starts by giving back what it is given."""
    spectral: bool = False
    """Spectral norm in the discriminators."""

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"blocks": (1, math.inf), "pool": (0, 10_000)}

    def dataset(self) -> Any:
        return self.data.load()

    def plan(self, spec: DataSpec, measure: Callable[[Any], float]) -> tuple[Any, list[str]]:
        """Nothing is chosen; over several processes there is something to tell."""
        apart = self.pool and parallel.world()[1] > 1
        return self, [POOLS] if apart else []

    def method(self, spec: DataSpec) -> Method:
        shared = self.shared(spec)
        if self.loss.relativistic:
            raise UsageError("cyclegan has no pairs for a relativistic loss to compare: --loss least_squares, hinge or logistic.")
        a, b = spec.given[0], spec.shape[0]
        if a != b and self.identity_weight:
            raise UsageError(f"--identity-weight needs domains of as many channels; got {a} and {b}. 0 leaves it out.")
        for option in ("residual", "colour_weight"):
            if a != b and getattr(self, option):
                raise UsageError(f"--{option.replace('_', '-')} needs domains of as many channels; got {a} and {b}.")
        there, back = (ResNet(*ends, self.width, self.blocks, self.residual).to(spec.device) for ends in ((a, b), (b, a)))
        critics = (Patch(c, self.d_width, spectral=self.spectral).to(spec.device) for c in (a, b))
        pools = Pool(self.pool, spec.given).to(spec.device), Pool(self.pool, spec.shape).to(spec.device)
        weights = {"cycle_weight": self.cycle_weight, "identity_weight": self.identity_weight}
        return Method(there, back, *critics, pools=pools, **shared | weights)
