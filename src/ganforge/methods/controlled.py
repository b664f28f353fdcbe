"""Two players whose penalties weigh as much as the discriminator needs, for data whose weight nobody knows.

The weight of R1 and R2 that suits spans three orders of magnitude between data sets (R3GAN, arXiv:2501.05441, app. D: 0.05 for CIFAR-10,
150 for faces at 256 px). What it sets is how far the logits of real and generated examples may lie apart: too far, and the loss saturates
and the discriminator learns its examples by heart; too near, and it says nothing. So that is what is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Player, Progress, Update
from ..losses import per_example
from .adaptive import RampedTwoPlayer
from .two_player import Aside, TwoPlayer

EVERY = 2
"""Steps between looks at the discriminator."""
LOW, HIGH = 0.55, 0.75
"""How sure of its pairs the discriminator may be, and the weights stay as they are."""
FULL = 0.05
"""So far outside of these, as at chance, and further, they move at their full pace; nearer, more slowly, or they would swing."""
DECADE, EARLY = 0.3, 0.1
"""They can become ten times as large, or a tenth, while what was seen grows by this share; before a tenth of the budget, as at that tenth.
So a wrong start is soon put right, before a discriminator is spoilt by it, and later the game is not disturbed."""
FOLLOW = 0.25
"""Share by which the mean that is looked at follows each look."""
MOST = math.log(1000.0)
"""The factor stays from a thousandth to a thousand."""


class ControlledTwoPlayer(TwoPlayer):
    """Two players and a third, `strength`, that multiplies all penalties by one factor: more while the discriminator is too sure.

    How sure it is: mean sigmoid(D(x) - D(G(z))) over the pairs of a batch, the probability that a relativistic or logistic discriminator
    gives to the truth; 0.5 knows nothing, 1 is certain. The mere share of pairs in the right order would not do: it is the same however
    near the logits are, so it cannot tell a weight that is too high. The scheduled weights are what the factor starts from and goes on
    multiplying: a schedule that is right leaves it at 1, one that falls too far is held up.

    Both numbers, the running mean and the factor's logarithm, are parameters that descend losses of their own. The first's gradient is
    linear in what is seen and the second's a function of the first, so micro-batches and processes give what one batch would.
    """

    def __init__(self, *networks: nn.Module, **options: Any) -> None:
        super().__init__(*networks, **options)
        device = next(self.generator.parameters()).device
        start = ((LOW + HIGH) / 2, 0.0)
        self.control = nn.ParameterList([nn.Parameter(torch.tensor(number, device=device)) for number in start])
        self.s = Player("strength", [self.control], torch.optim.SGD(self.control.parameters(), lr=1.0), _bounded)
        self.players = [*self.players, self.s]

    @property
    def factor(self) -> Tensor:
        """What all penalties are multiplied by, a scalar from 0.001 to 1000."""
        return self.control[1].detach().exp()

    def step(self, batch: Batch, now: Progress, aside: Aside | None = None) -> Iterator[Update]:
        for update in super().step(batch, now, aside):
            yield update
            if update.player is self.d and now.step % EVERY == 0:
                yield Update(self.s, self._correction(update.log, now), {"strength/penalty": self.factor})

    def penalty(self, seen: Sequence[tuple[Tensor, Tensor]], y: Tensor | None, now: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """The parent's penalties times the factor, and beside their sizes how sure the discriminator is."""
        total, sizes = super().penalty(seen, y, now)
        (_, on_real), (_, on_fake) = seen
        sure = per_example(on_real.detach().float() - on_fake.detach().float()).sigmoid().mean()
        return self.factor * total, {**sizes, "strength/sure": sure}

    def _correction(self, seen: Mapping[str, Tensor], now: Progress) -> Tensor:
        """A scalar that moves the mean towards what was seen, and the factor by what the mean said before."""
        mean, log = self.control
        known = mean.detach()
        push = (((known - HIGH).clamp(min=0) - (LOW - known).clamp(min=0)) / FULL).clamp(-1, 1)
        pace = math.log(10) * EVERY / (DECADE * max(now.fraction, EARLY) * now.steps) if now.seen else 0.0
        return FOLLOW * (mean - seen["strength/sure"]).square() / 2 - pace * push * log


class ControlledRampedTwoPlayer(ControlledTwoPlayer, RampedTwoPlayer):
    """The same with augmentation that rises over the budget."""


def _bounded(control: nn.Module) -> None:
    for p in control.parameters():
        p.data.clamp_(-MOST, MOST)
