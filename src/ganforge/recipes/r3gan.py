"""R3GAN: relativistic pairing with R1 and R2 on residual networks without norms (Huang et al., 2024, arXiv:2501.05441)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Annotated, Any, ClassVar

from .. import losses, penalties
from ..core.recipe import Named
from ..data.spec import DataSpec
from ..networks import image
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class R3GAN(TwoPlayerRecipe):
    """The paper's loss, exact penalties and blocks; its schedules as fractions of your budget.

    The penalty weight is the paper's gamma: 0.05 for 32 px, about 2 for 64 px, 150 for 256 px. The recipes r3gan-cifar10,
    r3gan-ffhq64, r3gan-ffhq256, r3gan-imagenet32 and r3gan-imagenet64 are of the paper's sizes.
    """

    cap: ClassVar[int] = 8
    pool: ClassVar[bool] = False
    """Of the networks: see networks/image/r3.py."""
    networks: Annotated[image.Networks, Named(image)] = image.r3
    z: int = 64
    width: int = 96
    blocks: int = 2
    """Residual blocks per resolution."""
    expansion: int = 2
    """How much wider the blocks are inside."""
    group: int = 16
    """Channels per group of the 3x3 convolutions; 0: all together, at a width of 768 nine times the weights; -1: 16, but all on a CPU."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.relativistic
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.r1, penalties.r2)
    penalty_weight: float = 0.05
    penalty_end: float = 0.1
    lr_end: float = 0.25
    beta1: float = 0.0
    beta2: float = 0.9
    beta2_end: float = 0.99

    def plan(self, spec: DataSpec, measure: Callable[[Any], float]) -> tuple[Any, list[str]]:
        """Settle what depends on the machine, so that the run stays as it is on another one."""
        if self.networks is not image.r3 or self.group >= 0:
            return self, []
        group = self._group(spec)
        return dataclasses.replace(self, group=group), [f"3x3 convolutions of {group or 'all'} channels together: quick on a {spec.device}"]

    def _group(self, spec: DataSpec) -> int:
        return self.group if self.group >= 0 else 0 if spec.device == "cpu" else 16

    def pair(self, spec: DataSpec) -> image.Networks:
        if self.networks is not image.r3:
            self.only_with("--networks r3", "blocks", "expansion", "group")
            return self.networks
        shape = {"blocks": self.blocks, "expansion": self.expansion, "group": self._group(spec), "cap": self.cap}
        return image.Networks(partial(image.r3.generator, **shape), partial(image.r3.discriminator, **shape, pool=self.pool))
