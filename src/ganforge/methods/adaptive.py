"""Two players and augmentation that is as strong as the discriminator needs it: ADA, and a fixed ramp.

The strength is a player of its own: one parameter that descends its own loss. So it is saved, resumed, accumulated and averaged over
processes like everything else that learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Player, Progress, Update
from ..core.schedule import cosine
from ..networks.augment import MOST, Adaptive
from .two_player import Aside, TwoPlayer

EVERY = 4
"""Steps between looks at the discriminator (ADA, app. B)."""
RISE = 0.1
"""Share of the budget in which the strength could rise from 0 to 1."""
RAMP = 0.4
"""Strength of a ramp at the end; R3GAN's end between 0.3 and 0.55 (arXiv:2501.05441, app. D)."""
SURE, KNOWN = 0.6, 0.5
"""What is aimed at: the mean sign of real images above the middle; the gap to held-out images over that to fakes (ADA, sec. 3)."""


class AdaptiveTwoPlayer(TwoPlayer):
    """Two players and a third, `strength`, that augments more while the discriminator knows its training images too well.

    With batch["held"] (m, c, h, w) and, where there are classes, batch["held_y"] (m,): images that are never trained on tell, as
    (mean D(train) - mean D(held)) / (mean D(train) - mean D(fake)) against 0.5. Else the share of real images above the middle between
    the two mean logits tells, as 2 share - 1 against 0.6 (ADA, Karras et al., 2020, arXiv:2006.06676, eq. 1, made invariant to shifts of
    the logits, which mean nothing to a relativistic or Wasserstein critic).
    """

    augment: Adaptive

    def __init__(self, *networks: nn.Module, augment: Adaptive, **options: Any) -> None:
        super().__init__(*networks, augment=augment, **options)
        mover = torch.optim.SGD(augment.strength.parameters(), lr=0.01)
        self.s = Player("strength", [augment.strength], mover, _bounded, _pace)
        self.players = [*self.players, self.s]

    def step(self, batch: Batch, now: Progress, aside: Aside | None = None) -> Iterator[Update]:
        for update in super().step(batch, now, aside):
            due = update.player is self.d and now.step % EVERY == 0
            excess = self._excess(update.log, batch) if due else None  # of the very discriminator that the log is of
            yield update
            if excess is not None:
                yield Update(self.s, -excess.sign() * self.augment.strength[0], {"strength/p": self.augment.p, "strength/excess": excess})

    @torch.no_grad()
    def _excess(self, seen: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """By how much the discriminator knows the training images better than it should, a scalar."""
        if "held" not in batch:
            return 2 * seen["accuracy/real"] - 1 - SURE
        held = self.discriminator(self.shown(batch["held"]), batch.get("held_y")).float().mean()
        apart = seen["logits/real"] - seen["logits/fake"]
        return (seen["logits/real"] - held) - KNOWN * apart.clamp(min=0)  # not divided: apart may be 0


class RampedTwoPlayer(TwoPlayer):
    """Two players and augmentation whose probability rises from 0 to RAMP along half a cosine over the budget (as R3GAN's does)."""

    augment: Adaptive

    def __init__(self, *networks: nn.Module, augment: Adaptive, **options: Any) -> None:
        super().__init__(*networks, augment=augment, **options)
        augment.requires_grad_(False)

    def step(self, batch: Batch, now: Progress, aside: Aside | None = None) -> Iterator[Update]:
        p = cosine(0.0, RAMP)(now)
        self.augment.strength[0].fill_(p)
        for update in super().step(batch, now, aside):
            yield update._replace(log={**update.log, "strength/p": update.loss.new_full((), p)}) if update.player is self.d else update


def _bounded(strength: nn.Module) -> None:
    for p in strength.parameters():
        p.data.clamp_(0, MOST)


def _pace(now: Progress) -> Mapping[str, Any]:
    return {"lr": EVERY / (RISE * now.steps) if now.seen else 0.0}
