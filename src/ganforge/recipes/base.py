"""What all recipes of one generator against one discriminator have in common: the options, and how they become a method.

A recipe is a subclass with other defaults. Every such recipe takes every option, so that methods can be mixed; the few
combinations that make no sense are refused. Recipes of other games build on game.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Annotated, Any

from torch import nn

from .. import constraints, losses, penalties
from ..core.errors import UsageError, nearest
from ..core.method import Progress
from ..core.optim import optimizer
from ..core.recipe import Named
from ..core.run import Run
from ..core.schedule import cosine
from ..data.images import Images
from ..data.spec import DataSpec
from ..methods.adaptive import AdaptiveTwoPlayer, RampedTwoPlayer
from ..methods.two_player import Penalty, TwoPlayer
from ..networks import image
from ..networks.augment import Adaptive, DiffAugment
from ..networks.latent import Normal

LIMITS = {
    **dict.fromkeys(("z", "critic_steps", "penalty_every", "pack", "blocks", "expansion"), (1, math.inf)),
    **dict.fromkeys(("width", "d_width", "penalty_weight", "penalty_end", "clip"), (0, math.inf)),
    **dict.fromkeys(("lr", "d_lr"), (0, 1e30)),
    "lr_end": (0, 1),
    "penalty_share": (0.001, 1),
    **dict.fromkeys(("beta1", "beta2", "beta2_end"), (0, 0.999999)),
    "label_smoothing": (0, 0.499),
    "group": (-1, math.inf),
    **dict.fromkeys(("style", "path_weight", "drift", "redraw"), (0, math.inf)),
    "depth": (1, math.inf),
    "mixing": (0, 1),
    "growth": (0.01, 1),
}
"""Least and most of the options that have limits, here and in the recipes built on this."""
AUGMENTED: dict[str, tuple[type[TwoPlayer], type[nn.Module]]] = {
    "none": (TwoPlayer, nn.Identity),
    "diffaugment": (TwoPlayer, DiffAugment),
    "ada": (AdaptiveTwoPlayer, Adaptive),
    "ramp": (RampedTwoPlayer, Adaptive),
}
"""What --augment makes of the method, and what it changes examples by."""


@dataclass(frozen=True, kw_only=True)
class TwoPlayerRecipe:
    """One generator, one discriminator, images."""

    data: Images
    networks: Annotated[image.Networks, Named(image)] = image.dcgan
    """The pair of networks."""
    z: int = 128
    """Length of the latent vector."""
    width: int = 64
    """Channels of the generator next to the image; networks double them as resolution halves."""
    d_width: int = 0
    """The same for the discriminator. 0: as the generator."""
    condition: str = "concat"
    """How the generator learns the class, where there are labels: concat, norm."""
    d_condition: str = "projection"
    """How the discriminator learns the class: projection, concat."""
    loss: Annotated[losses.Pair, Named(losses)] = losses.logistic
    """Adversarial loss."""
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = ()
    """Penalties on the discriminator."""
    penalty_weight: float = 1.0
    """Weight of each penalty at the start."""
    penalty_end: float = 1.0
    """Weight at the end of the budget, as a fraction of the one at the start; a half cosine between."""
    penalty_every: int = 1
    """Apply penalties on every k-th step only, k times as strong."""
    penalty_share: float = 1.0
    """Share of the batch that penalties look at."""
    label_smoothing: float = 0.0
    """Treat real examples as real with this much less than certainty."""
    pack: int = 1
    """Show the discriminator so many images at once (PacGAN): a cure for mode collapse. Unconditional only."""
    augment: str = "none"
    """Change all that the discriminator sees at random, real and generated alike: for fewer than some thousand images. none, diffaugment,
    ada (as strongly as the discriminator needs it), ramp (ADA's changes, ever more often)."""
    critic_steps: int = 1
    """Discriminator updates per generator update."""
    reuse_fakes: bool = False
    """Move the generator on the fakes that the discriminator has just seen, not on fresh ones: about a tenth faster, more memory."""
    clip: float = 0.0
    """Clip the discriminator's weights to this absolute value. 0: do not."""
    optimizer: str = "Adam"
    """Any optimiser of torch.optim."""
    lr: float = 2e-4
    """Learning rate of both players at the start."""
    d_lr: float = 0.0
    """Learning rate of the discriminator, where it differs (TTUR, arXiv:1706.08500). 0: as the generator's."""
    lr_end: float = 1.0
    """Learning rate at the end of the budget, as a fraction of the one at the start; a half cosine between."""
    beta1: float = 0.5
    """Adam's first-moment decay."""
    beta2: float = 0.999
    """Adam's second-moment decay at the start."""
    beta2_end: float = 0.0
    """The same at the end of the budget; a half cosine between. 0: as at the start."""
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            got = getattr(self, name, least)
            if not least <= got <= most:
                told = f"from {least:g} to {most:g}" if most < math.inf else f"at least {least:g}"
                raise UsageError(f"--{name.replace('_', '-')} must be {told}; got {got}.")
        if self.run.batch // self.run.accumulate % self.pack:
            raise UsageError(f"--pack {self.pack} does not divide the batch of {self.run.batch // self.run.accumulate}.")
        if self.augment not in AUGMENTED:
            raise UsageError(f"--augment must be {', '.join(AUGMENTED)}; got '{self.augment}'.{nearest(self.augment, AUGMENTED)}")
        if self.label_smoothing and self.loss.relativistic:
            raise UsageError("--label-smoothing needs a loss with labels (logistic, least_squares); a relativistic loss compares pairs.")

    def dataset(self) -> Any:
        data = self.data.load()
        data.show_held = self.augment == "ada"
        return data

    def method(self, spec: DataSpec) -> TwoPlayer:
        """Build networks and players for this data. Raises UsageError for sizes or ways the networks do not know."""
        for name in ("width", "lr"):
            if not getattr(self, name):
                raise UsageError(f"--{name} must be positive; got {getattr(self, name)}.")
        if spec.classes and self.pack > 1:
            raise UsageError("--pack needs a discriminator without classes: add --labels none.")
        pair, channels = self.pair(spec), spec.shape[0] * self.pack
        try:
            generator = pair.generator(spec.shape, self.z, self.width, spec.classes, self.condition)
            discriminator = pair.discriminator((channels, *spec.shape[1:]), self.d_width or self.width, spec.classes, self.d_condition)
        except ValueError as error:
            raise UsageError(str(error)) from error
        weight = cosine(self.penalty_weight, self.penalty_weight * self.penalty_end)
        method, changes = AUGMENTED[self.augment]
        return method(
            generator.to(spec.device),
            discriminator.to(spec.device),
            latent=Normal(self.z, spec.device),
            loss=self.loss,
            optimizer=optimizer(self.optimizer, self.lr, (self.beta1, self.beta2)),
            penalties=[Penalty(p, weight, self.penalty_every, self.penalty_share) for p in self.penalty],
            critic_steps=self.critic_steps,
            constrain=constraints.weight_clipping(self.clip) if self.clip else None,
            schedule=self.schedule,
            d_schedule=self.d_schedule,
            label_smoothing=self.label_smoothing,
            pack=self.pack,
            reuse_fakes=self.reuse_fakes,
            augment=changes().to(spec.device),
        )

    def pair(self, spec: DataSpec) -> image.Networks:
        """The networks for this data; recipes with options of their own for them override this."""
        return self.networks

    def d_schedule(self, now: Progress) -> Mapping[str, Any]:
        """The options of the discriminator's optimiser at this moment."""
        return {**self.schedule(now), "lr": cosine(self.d_lr or self.lr, (self.d_lr or self.lr) * self.lr_end)(now)}

    def schedule(self, now: Progress) -> Mapping[str, Any]:
        """The options of the generator's optimiser at this moment."""
        options: dict[str, Any] = {"lr": cosine(self.lr, self.lr * self.lr_end)(now)}
        if self.beta2_end:
            options["betas"] = (self.beta1, cosine(self.beta2, self.beta2_end)(now))
        return options
