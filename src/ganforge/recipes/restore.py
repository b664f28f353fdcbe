"""Restore: super-resolution, denoising, inpainting and their kin: likeness first, then a short game (SRGAN, arXiv:1609.04802)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from .. import losses
from ..core.optim import optimizer
from ..core.recipe import Named
from ..core.run import Run
from ..data.degrade.strengths import tidied
from ..data.photos import Photos
from ..data.spec import DataSpec
from ..methods import tasks
from ..methods.restoration import Restoration
from ..networks.image import critics, detail, restorers
from .base import check_limits, refusing
from .weighed import Weighed


@dataclass(frozen=True, kw_only=True)
class Restore(Weighed):
    """Learns from your photographs, damaged anew at every step; keeps the network of before the game, too, as the faithful one."""

    data: Photos
    task: Annotated[tasks.Task, Named(tasks)] = tasks.super_resolution
    """What to learn: `gan list tasks`."""
    damage: str = ""
    """Another degradation than the task's own: clean, web or harsh for super-resolution, strokes, boxes, scratches or text for inpaint."""
    scale: int = 0
    """Super-resolution: how many times larger, 2, 3 or 4. 0: as the data is, where it holds small and large images, else 2."""
    sigma: str = ""
    """Denoising: standard deviation of the noise, of 255, or a range such as 5-50 for a network that is not told it. Empty: 25."""
    quality: str = ""
    """Of the JPEG files that are to be mended, or a range such as 10-60. Empty: 20."""
    network: Annotated[restorers.Restorer, Named(restorers)] = restorers.auto
    """What learns it; auto: what suits the task."""
    width: int = 0
    """Channels of the network. 0: as usual."""
    blocks: int = 0
    """Blocks of the network. 0: as usual."""
    critic: Annotated[critics.Critic, Named(critics)] = critics.patch
    """Discriminator: patch, which scores parts of an image, or unet, which scores every pixel."""
    d_width: int = 16
    """Channels of the discriminator's first layer."""
    adversarial: float = 0.2
    """Share of the budget with a discriminator. 0: none, for results that are as faithful as can be, and smooth."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.relativistic
    """Adversarial loss."""
    lr: float = 1e-3
    """Learning rate of the generator at the start."""
    run: Run = field(default_factory=lambda: Run(batch=16))

    def __post_init__(self) -> None:
        tidied(self, "sigma", "quality")
        check_limits(self, {"width": (0, 1e6), "blocks": (0, 1e6), "adversarial": (0, 0.9), "d_width": (1, 10_000), "lr": (1e-30, 1e30)})
        self.check_weights(self.task.side(self.data.crop, self.scale), self.data.crop)
        self.task.check(self.damage, self.scale, self.sigma, self.quality)

    def dataset(self) -> Any:
        data = self.data.load(multiple=self.task.times(self.scale))
        self.task.check_data(self.data.path, data.brings, [n for n in ("damage", "sigma", "quality") if getattr(self, n)])
        return data

    def plan(self, spec: DataSpec, measure: Callable[[Any], float]) -> tuple[Any, list[str]]:
        """Settle the scale that pairs have, so that it stays on other data. Raises UsageError for options of a game that there is not."""
        self.check_idle(self.adversarial)
        scale = self.task.scale_of(spec, self.scale)
        return (self, []) if scale == self.scale else (replace(self, scale=scale), [f"enlarges {scale} times, as the pairs do"])

    def method(self, spec: DataSpec) -> Restoration:
        scale = self.task.scale_of(spec, self.scale)
        with refusing():
            generator = self.task.generator(self.network, self.width, self.blocks, scale).to(spec.device)
        critic = detail.Detailed(self.critic.one(2 * spec.shape[0], self.d_width)).to(spec.device) if self.adversarial else None
        more: dict[str, Any] = {"loss": self.loss, "lr": self.lr, "optimizer": optimizer("Adam", self.lr, (0.9, 0.99))}
        degrade = self.task.degradation(self.damage, scale, self.sigma, self.quality)
        return Restoration(generator, critic, degrade=degrade, adversarial=self.adversarial, **more, **self.weights(spec.device))
