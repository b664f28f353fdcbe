"""Which seeds to keep: the run's discriminator says of each image how likely it is real (Azadi et al., 2019, arXiv:1810.06758)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..core.errors import CheckpointError, UsageError
from ..losses import LIKELIHOOD
from ..networks.image.equalised import BatchNearness, BatchSpread
from . import heritage, model, sampling

BURN_IN, FIRST_SEED = 1000, 8_000_000
"""Images that tell the largest logit, and the seed of the first of them."""
PERCENTILE = 0.8
"""gamma of the paper is where so many of the burn-in lie below: an image there is kept every other time (sec. 3)."""
PART = 16 * sampling.CHUNK
"""Images in memory at a time."""
LEAST = 1e-8
"""epsilon of the paper: keeps the logarithm finite at the largest logit."""
OTHER = 0x9E3779B9
"""Makes of the seed of an image the seed of its lot, so that the two have nothing to do with each other."""

logger = logging.getLogger(__name__)


class Rejection:
    """Discriminator rejection sampling: what it keeps is nearer to the training data than what the model draws, and fewer.

    run: a run folder with its checkpoints, whose newest has the discriminator; drawn: the model that draws. classes: a name or number for
    all images, None: each seed draws its own. Whether a seed is kept depends on nothing but itself and these. The discriminator is taken
    as it stands, where the paper trains it on until its logits are calibrated: one that penalties keep flat rejects less than it should.
    Warns where the model is of another moment of the run than the discriminator. Raises UsageError for a run whose discriminator does not
    tell, CheckpointError where there is none.
    """

    def __init__(
        self,
        run: str | Path,
        drawn: model.Model,
        *,
        classes: str | int | None = None,
        truncation: float | None = None,
        code: Collection[str] = (),
    ) -> None:
        self.model, self.classes, self.truncation = drawn, classes, truncation
        device = next(drawn.networks["generator"].parameters()).device
        found = heritage.read(Path(run).expanduser(), code)
        self.discriminator = discriminator(found).to(device)
        if (seen := drawn.facts.get("seen")) is not None and int(seen) != found.seen:
            logger.warning(
                "the model has seen %s images, the discriminator that judges it %s: they are of different moments of the run.",
                f"{int(seen):,}",
                f"{found.seen:,}",
            )
        logits = self._logits(range(FIRST_SEED, FIRST_SEED + BURN_IN))
        self.top = float(logits.max())
        self.gamma = float(odds(logits, self.top).quantile(PERCENTILE))

    def kept(self, seeds: Sequence[int]) -> list[int]:
        """Those of the seeds whose images are kept, in their order."""
        chances = torch.sigmoid(odds(self._logits(seeds), self.top) - self.gamma)
        lots = [torch.rand((), generator=torch.Generator().manual_seed(seed ^ OTHER)) for seed in seeds]
        return [seed for seed, chance, lot in zip(seeds, chances, lots, strict=True) if lot < chance]

    def _logits(self, seeds: Sequence[int]) -> Tensor:
        """What the discriminator says of the images of these seeds: (n,)."""
        generator, found = self.model.networks["generator"], []
        most, told = sampling.truncation_of(generator, self.truncation)
        for at in range(0, len(seeds), PART):
            z, y = self.model.starts(seeds[at : at + PART], self.classes, most)
            found.append(sampling.in_chunks(self.discriminator, sampling.images(generator, z, y, *told), y))
        return torch.cat(found)


def odds(logits: Tensor, top: float) -> Tensor:
    """The paper's F-hat without gamma (sec. 3), (n,) -> (n,): its sigmoid is exp(logit - top), the chance to be kept that turns the
    distribution of generated images into that of real ones. No logit counts as larger than `top`."""
    below = (logits.double() - top).clamp(max=0)
    return (below - torch.log(-torch.expm1(below - LEAST))).float()


def discriminator(found: heritage.Parent) -> nn.Module:
    """The discriminator of a run's newest checkpoint, in eval mode. Raises as `Rejection` does."""
    if not found.raw:
        told = "give a run folder with its checkpoints, not a copy of best/."
        raise CheckpointError(f"{found.path} has no discriminator to reject by: {told}")
    method, _ = model.build(found.content, found.code)
    loss = found.content["fields"].get("loss")
    judge = getattr(method, "discriminator", None)
    if judge is None or loss not in LIKELIHOOD:
        raise UsageError(
            f"--reject needs a discriminator that was trained with --loss {', '.join(LIKELIHOOD)}; this run has {loss or 'none'}."
        )
    if getattr(method, "pack", 1) > 1 or any(isinstance(module, BatchSpread | BatchNearness) for module in judge.modules()):
        raise UsageError("--reject needs a discriminator that judges images one by one; this run's looks at several together.")
    weights = {name: value for name, value in found.weights.items() if name.startswith("discriminator.")}
    judge.load_state_dict({name.removeprefix("discriminator."): value for name, value in weights.items()})
    return cast(nn.Module, judge.eval().requires_grad_(False))
