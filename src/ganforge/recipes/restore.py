"""Restore: super-resolution, denoising, inpainting and their kin: likeness first, then a short game (SRGAN, arXiv:1609.04802)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from .. import losses
from ..core.errors import UsageError
from ..core.optim import optimizer
from ..core.recipe import Named
from ..core.run import Run
from ..data.photos import Photos
from ..data.spec import DataSpec
from ..distances import WINDOW
from ..methods import tasks
from ..methods.restoration import Restoration
from ..networks.image import restorers
from ..networks.image.patch import Patch
from .base import check_limits, refusing

WEIGHTS = ("adversarial_weight", "feature_weight", "structure_weight")


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Learns from your photographs, damaged anew at every step; keeps the network of before the game, too, as the faithful one."""

    data: Photos
    task: Annotated[tasks.Task, Named(tasks)] = tasks.super_resolution
    """What to learn: `gan list tasks`."""
    damage: str = ""
    """Another degradation than the task's own; for super-resolution clean, web or harsh."""
    scale: int = 0
    """Super-resolution: how many times larger, 2, 3 or 4. 0: 2."""
    sigma: float = 0.0
    """Denoising: standard deviation of the noise, of 255. 0: 25."""
    quality: int = 0
    """Of the JPEG files that are to be mended. 0: 20."""
    network: Annotated[restorers.Restorer, Named(restorers)] = restorers.auto
    """What learns it; auto: what suits the task."""
    width: int = 0
    """Channels of the network. 0: as usual."""
    blocks: int = 0
    """Blocks of the network. 0: as usual."""
    d_width: int = 32
    """Channels of the discriminator's first layer."""
    adversarial: float = 0.2
    """Share of the budget with a discriminator. 0: none, for results that are as faithful as can be, and smooth."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.relativistic
    """Adversarial loss."""
    adversarial_weight: float = 0.01
    """Its weight for the generator."""
    feature_weight: float = 1.0
    """Weight of the difference between the discriminator's maps."""
    structure_weight: float = 0.0
    """Weight of 1 - MS-SSIM beside that of the pixels, which is 1."""
    lr: float = 1e-3
    """Learning rate of the generator at the start."""
    run: Run = field(default_factory=lambda: Run(batch=16))

    def __post_init__(self) -> None:
        check_limits(self, dict.fromkeys(("width", "blocks", *WEIGHTS), (0, math.inf)))
        check_limits(self, {"adversarial": (0, 0.9), "d_width": (1, 10_000), "lr": (1e-30, 1e30)})
        self.task.check(self.damage, self.scale, self.sigma, self.quality)
        if self.structure_weight and self.task.side(self.data.crop, self.scale) < WINDOW:
            raise UsageError(f"--structure-weight looks at {WINDOW} x {WINDOW} pixels: --crop {self.data.crop} is too small for it.")

    def dataset(self) -> Any:
        return replace(self.data, crop=self.task.side(self.data.crop, self.scale)).load()

    def method(self, spec: DataSpec) -> Restoration:
        with refusing():
            generator = self.task.generator(self.network, self.width, self.blocks, self.scale).to(spec.device)
        critic = Patch(spec.shape[0], self.d_width, layers=2).to(spec.device) if self.adversarial else None
        degrade = self.task.degradation(self.damage, self.scale, self.sigma, self.quality)
        more: dict[str, Any] = {"optimizer": optimizer("Adam", self.lr, (0.9, 0.99)), "lr": self.lr, "adversarial": self.adversarial}
        more |= {name: getattr(self, name) for name in WEIGHTS}
        return Restoration(generator, critic, degrade=degrade, loss=self.loss, **more)
