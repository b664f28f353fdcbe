"""ProGAN: networks that start at a few pixels and grow, every new resolution faded in (Karras et al., 2018, arXiv:1710.10196, sec. 2)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ..core.method import Batch, Progress, Update
from ..losses import per_example
from ..penalties import Critic, Sample
from .around import Around
from .two_player import Penalty, TwoPlayer


class Progressive(Around):
    """A game whose networks have a buffer `level`, and whose discriminator shows real images `as_grown`.

    growth: share of the budget after which they are fully grown; 0: they are from the start. Every resolution but the first is faded in
    for as long as the one before it was trained alone. penalty: weight of `drift` on the discriminator.
    """

    def __init__(self, game: TwoPlayer, *, growth: float = 0.5, penalty: float = 0.001) -> None:
        super().__init__(game)
        self.growth = growth
        most = 2 * self.generator.grid.doublings
        if most and growth:
            self.stages = {(k + 0.5) * growth / most: growth / most for k in range(most)} | {(1 + growth) / 2: 1 - growth}
        game.penalties = [*game.penalties, Penalty(drift, penalty)] if penalty else game.penalties

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        level = self.level(now)
        for network in (self.generator, self.discriminator):
            network.grow(level)
        grown = {key: self.discriminator.as_grown(batch[key]) for key in ("x", "held") if key in batch}
        for update in self.game.step({**batch, **grown}, now):
            yield update._replace(log={**update.log, "level": update.loss.new_full((), level)})

    def level(self, now: Progress) -> float:
        """How far the networks are grown, in resolutions."""
        most = self.generator.grid.doublings
        if now.fraction >= self.growth:
            return float(most)
        low, rest = divmod(2 * most * now.fraction / self.growth, 2)
        return low + max(0.0, rest - 1)


def drift(critic: Critic, real: Sample, fake: Sample) -> Tensor:
    """Squared logit of real examples: (n, ...) -> (n,). Keeps a Wasserstein critic's level near 0 (ProGAN, arXiv:1710.10196, app. A.1)."""
    return per_example(critic(real)) ** 2
