"""What recipes of images have in common, above all those of one generator against one discriminator: options that become a method.

A recipe is a subclass with other defaults. Every recipe of two players takes every option, so that methods can be mixed; the few
combinations that make no sense are refused, and options that nothing would look at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from types import FunctionType
from typing import Annotated, Any

from .. import constraints, losses, penalties
from ..core import ref
from ..core.errors import UsageError, nearest
from ..core.method import Progress
from ..core.optim import optimizer
from ..core.recipe import Named
from ..core.run import Run
from ..core.schedule import cosine
from ..data.images import Images
from ..data.spec import DataSpec
from ..methods.adaptive import AdaptiveTwoPlayer, RampedTwoPlayer
from ..methods.controlled import ControlledRampedTwoPlayer, ControlledTwoPlayer
from ..methods.two_player import Penalty, TwoPlayer
from ..networks import image
from ..networks.augment import Adaptive, Change, DiffAugment
from ..networks.conditioning import hidden
from ..networks.latent import Normal

LIMITS = {
    **dict.fromkeys(("z", "critic_steps", "penalty_every", "pack", "blocks", "expansion", "depth"), (1, math.inf)),
    **dict.fromkeys(("d_width", "penalty_weight", "penalty_end", "clip", "mode_seeking"), (0, math.inf)),
    **dict.fromkeys(("style", "path_weight", "drift", "redraw"), (0, math.inf)),
    **dict.fromkeys(("class_weight", "continuous", "code_weight", "continuous_weight"), (0, math.inf)),
    "width": (1, math.inf),
    "lr": (1e-30, 1e30),
    "d_lr": (0, 1e30),
    "lr_end": (0, 1),
    "penalty_share": (0.001, 1),
    **dict.fromkeys(("beta1", "beta2", "beta2_end"), (0, 0.999999)),
    "label_smoothing": (0, 0.499),
    "label_dropout": (0, 0.99),
    "group": (-1, math.inf),
    "mixing": (0, 1),
    "growth": (0, 1),
    "codes": (2, math.inf),
}
"""Least and most of the options that have limits."""
AUGMENTED: dict[str, tuple[type[TwoPlayer], type[Change] | None]] = {
    "none": (TwoPlayer, None),
    "diffaugment": (TwoPlayer, DiffAugment),
    "ada": (AdaptiveTwoPlayer, Adaptive),
    "ramp": (RampedTwoPlayer, Adaptive),
}
"""What --augment makes of the method, and what it changes examples by."""
CONTROLLED: dict[type[TwoPlayer], type[TwoPlayer]] = {TwoPlayer: ControlledTwoPlayer, RampedTwoPlayer: ControlledRampedTwoPlayer}
"""What --penalty-control makes of that."""


def check_limits(recipe: Any, limits: Mapping[str, tuple[float, float]]) -> None:
    """Raise UsageError, naming the first option of a recipe that is below its least or above its most; options that it lacks are passed."""
    for name, (least, most) in limits.items():
        got = getattr(recipe, name, least)
        if not least <= got <= most:
            told = f"from {least:g} to {most:g}" if most < math.inf else f"at least {least:g}"
            raise UsageError(f"--{name.replace('_', '-')} must be {told}; got {got}.")


@dataclass(frozen=True, kw_only=True)
class GameRecipe:
    """Image networks and an optimiser for each player."""

    data: Images
    networks: Annotated[image.Networks, Named(image)] = image.dcgan
    """The pair of networks."""
    z: int = 64
    """Length of the latent vector."""
    width: int = 64
    """Channels of the generator next to the image; networks double them as resolution halves."""
    d_width: int = 0
    """The same for the discriminator. 0: as the generator."""
    optimizer: str = "Adam"
    """Any optimiser of torch.optim."""
    lr: float = 2e-4
    """Learning rate of all players at the start."""
    lr_end: float = 1.0
    """Learning rate at the end of the budget, as a fraction of the one at the start; a half cosine between."""
    beta1: float = 0.5
    """Adam's first-moment decay."""
    beta2: float = 0.999
    """Adam's second-moment decay at the start."""
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        check_limits(self, {**LIMITS, **self.limits()})

    def limits(self) -> Mapping[str, tuple[float, float]]:
        """Least and most of a recipe's own options."""
        return {}

    def dataset(self) -> Any:
        return self.data.load()

    def shared(self, spec: DataSpec) -> dict[str, Any]:
        """The arguments that all methods take. Raises UsageError for options that this optimiser would not look at."""
        maker = optimizer(self.optimizer, self.lr, (self.beta1, self.beta2))
        if "betas" not in maker.keywords:
            self.only_with("an optimiser that has it, such as Adam", "beta1", "beta2", "beta2_end")
        return {"latent": Normal(self.z, spec.device), "optimizer": maker, "schedule": self.schedule}

    def schedule(self, now: Progress) -> Mapping[str, Any]:
        """The options of the players' optimisers at this moment."""
        return {"lr": cosine(self.lr, self.lr * self.lr_end)(now)}

    def only_with(self, needs: str, *options: str) -> None:
        """Raise UsageError for the first of these options that was set, as without what it `needs` nothing would look at it.

        Options that the recipe lacks are passed over, and those of 0 and below that a plan fills in.
        """
        for known in fields(self):
            default: Any = known.default
            planned = hasattr(self, "plan") and known.name in options and default is not False and default <= 0
            if known.name in options and getattr(self, known.name) != default and not planned:
                raise UsageError(f"--{known.name.replace('_', '-')} needs {needs}; as it is, nothing would look at it.")


@dataclass(frozen=True, kw_only=True)
class TwoPlayerRecipe(GameRecipe):
    """One generator, one discriminator, images."""

    z: int = 128
    condition: str = "concat"
    """How the generator learns the class, where there are labels: concat, norm."""
    d_condition: str = "projection"
    """How the discriminator learns the class: projection, concat."""
    label_dropout: float = 0.0
    """Hide the class of this share of the examples from both players, so that rare classes learn from all: 0.1 is usual."""
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
    penalty_control: bool = False
    """Raise the penalties' weight while the discriminator is too sure of what is real, and lower it while it is not sure enough: for data
    whose right weight nobody knows. For --loss logistic, minimax and relativistic."""
    label_smoothing: float = 0.0
    """Treat real examples as real with this much less than certainty."""
    pack: int = 1
    """Show the discriminator so many images at once (PacGAN): a cure for mode collapse. Unconditional only."""
    mode_seeking: float = 0.0
    """Pay the generator so much for drawing different images from different latents (MSGAN): another one, at a generator pass more."""
    augment: str = "none"
    """Change all that the discriminator sees at random, real and generated alike: for fewer than some thousand images. none, diffaugment,
    ada (as strongly as the discriminator needs it, by held-out images where there are some), ramp (ADA's changes, ever more often)."""
    critic_steps: int = 1
    """Discriminator updates per generator update."""
    reuse_fakes: bool = False
    """Move the generator on the fakes that the discriminator has just seen, not on fresh ones: about a tenth faster, more memory."""
    clip: float = 0.0
    """Clip the discriminator's weights to this absolute value. 0: do not."""
    d_lr: float = 0.0
    """Learning rate of the discriminator, where it differs (TTUR, arXiv:1706.08500). 0: as the generator's."""
    beta2_end: float = 0.0
    """Adam's second-moment decay at the end of the budget; a half cosine between. 0: as at the start."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run.batch // self.run.accumulate % self.pack:
            raise UsageError(f"--pack {self.pack} does not divide the batch of {self.run.batch // self.run.accumulate}.")
        if self.augment not in AUGMENTED:
            raise UsageError(f"--augment must be {', '.join(AUGMENTED)}; got '{self.augment}'.{nearest(self.augment, AUGMENTED)}")
        if self.penalty_control and self.augment == "ada":
            raise UsageError("--penalty-control and --augment ada both steer by how sure the discriminator is: take one of them.")
        if self.label_smoothing and self.loss.relativistic:
            raise UsageError("--label-smoothing needs a loss with labels (logistic, least_squares); a relativistic loss compares pairs.")

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"width": (0, math.inf), "lr": (0, 1e30)}  # 0 where a plan chooses

    def dataset(self) -> Any:
        data = super().dataset()
        data.show_held = self.augment == "ada"
        return data

    def method(self, spec: DataSpec) -> TwoPlayer:
        """Build networks and players for this data. Raises UsageError for sizes or ways the networks do not know, and idle options."""
        for name in ("width", "lr"):
            if not getattr(self, name):
                raise UsageError(f"--{name} must be positive; got {getattr(self, name)}.")
        if spec.classes and self.pack > 1:
            raise UsageError("--pack needs a discriminator without classes: add --labels none.")
        if self.label_dropout and not spec.classes:
            raise UsageError("--label-dropout needs labels: put each class into its own sub-folder, or give --labels labels.csv.")
        if not self.penalty:
            idle = ("penalty_weight", "penalty_end", "penalty_every", "penalty_share", "penalty_control")
            self.only_with("a penalty, such as --penalty r1", *idle)
        if self.penalty_control and self.loss not in losses.LIKELIHOOD.values():
            known, got = ", ".join(losses.LIKELIHOOD), ref.name(self.loss, losses)
            raise UsageError(f"--penalty-control needs logits that are likelihoods, those of --loss {known}; got {got}.")
        pair, channels, classes = self.pair(spec), spec.shape[0] * self.pack, spec.classes + bool(self.label_dropout)
        with refusing():
            generator = pair.generator(spec.shape, self.z, self.width, classes, self.condition)
            discriminator = pair.discriminator((channels, *spec.shape[1:]), self.d_width or self.width, classes, self.d_condition)
        weight = cosine(self.penalty_weight, self.penalty_weight * self.penalty_end)
        method, changes = AUGMENTED[self.augment]
        method = CONTROLLED[method] if self.penalty_control else method
        return method(
            generator.to(spec.device),
            discriminator.to(spec.device),
            **self.shared(spec),
            loss=self.loss,
            penalties=[Penalty(p, weight, self.penalty_every, self.penalty_share) for p in self.penalty],
            critic_steps=self.critic_steps,
            constrain=constraints.weight_clipping(self.clip) if self.clip else None,
            d_schedule=self.d_schedule,
            label_smoothing=self.label_smoothing,
            pack=self.pack,
            reuse_fakes=self.reuse_fakes,
            augment=changes().to(spec.device) if changes else None,
            hide=partial(hidden, share=self.label_dropout, nothing=spec.classes) if self.label_dropout else None,
            diversity=self.mode_seeking,
        )

    def pair(self, spec: DataSpec) -> image.Networks:
        """The networks for this data; recipes with options of their own for them override this."""
        return self.networks

    def d_schedule(self, now: Progress) -> Mapping[str, Any]:
        """The options of the discriminator's optimiser at this moment."""
        return {**self.schedule(now), "lr": cosine(self.d_lr or self.lr, (self.d_lr or self.lr) * self.lr_end)(now)}

    def schedule(self, now: Progress) -> Mapping[str, Any]:
        """The options of the generator's optimiser at this moment."""
        options = dict(super().schedule(now))
        if self.beta2_end:
            options["betas"] = (self.beta1, cosine(self.beta2, self.beta2_end)(now))
        return options


@contextmanager
def refusing() -> Iterator[None]:
    """Sizes and ways that networks do not know become the user's error: one sentence, no traceback."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
