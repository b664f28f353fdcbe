"""What recipes of translation share: sizes, loss, a learning rate that is held and then falls (CycleGAN, arXiv:1703.10593, app. 7.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from .. import losses
from ..core.errors import UsageError
from ..core.optim import optimizer
from ..core.recipe import Named
from ..core.run import Run
from ..core.schedule import held
from ..data.spec import DataSpec
from .base import LIMITS, check_limits
from .parts import Parts, weights


@dataclass(frozen=True, kw_only=True)
class TranslationRecipe(Parts):
    """Images in, images of the same size out. Published weights are for least squares that are not halved, as ours are: hence a 2."""

    width: int = 64
    """Channels of the generator next to the image."""
    d_width: int = 64
    """Channels of the discriminator's first layer."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.least_squares
    """Adversarial loss."""
    adversarial_weight: float = 2.0
    """Its weight for the generator."""
    optimizer: str = "Adam"
    """Any optimiser of torch.optim."""
    lr: float = 2e-4
    """Learning rate of all players at the start."""
    lr_hold: float = 0.5
    """Fraction of the budget for which it stays; then it falls evenly to 0."""
    beta1: float = 0.5
    """Adam's first-moment decay."""
    beta2: float = 0.999
    """Adam's second-moment decay."""
    run: Run = field(default_factory=lambda: Run(batch=1))

    def __post_init__(self) -> None:
        check_limits(self, {**LIMITS, "d_width": (1, math.inf), "lr_hold": (0, 0.999), **weights(self), **self.limits()})

    def limits(self) -> Mapping[str, tuple[float, float]]:
        """Least and most of a recipe's own options."""
        return {}

    def shared(self, spec: DataSpec) -> dict[str, Any]:
        """The arguments that all methods take. Raises UsageError where the data has no inputs, or ones of another size."""
        if not spec.given or spec.given[1:] != spec.shape[1:]:
            got = f"{spec.given[2]}x{spec.given[1]} and {spec.shape[2]}x{spec.shape[1]}" if spec.given else "images without inputs"
            enlarge = "What is enlarged is learnt by --task super-resolution."
            raise UsageError(f"a translation needs inputs and outputs of one size; got {got}. {enlarge}")
        rate = held(self.lr, 0.0, self.lr_hold)
        maker = optimizer(self.optimizer, self.lr, (self.beta1, self.beta2))
        common = {"loss": self.loss, "adversarial_weight": self.adversarial_weight, "terms": self.terms()}
        return {**common, "optimizer": maker, "schedule": lambda now: {"lr": rate(now)}}
