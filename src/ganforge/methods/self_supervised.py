"""FastGAN's addition to the game: a discriminator that must also redraw real images (Liu et al., 2021, arXiv:2101.04775, sec. 3.2)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..core.method import Batch, Progress, Update
from ..losses import per_example
from .around import Around
from .two_player import TwoPlayer

SCALES = 3
"""Sizes at which a drawing is compared with the truth: as it is, halved, quartered."""


class SelfSupervised(Around):
    """A game whose discriminator has `redrawn(x, y, quarter)` -> pairs (guess, truth), real images only (paper, eq. 3).

    weight: of the redrawing loss. Fakes are not redrawn: the decoders are to make features describe real images.
    """

    def __init__(self, game: TwoPlayer, *, weight: float = 1.0) -> None:
        super().__init__(game)
        self.weight = weight

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        for update in self.game.step(batch, now):
            if self.weight and update.player is self.game.d:
                quarter = int(torch.randint(4, ()))  # on the CPU, so nothing waits
                pairs = self.discriminator.redrawn(self.game.shown(batch["x"]), batch.get("y"), quarter)
                apart = torch.stack([distance(guess, truth).mean() for guess, truth in pairs]).sum()
                update = Update(update.player, update.loss + self.weight * apart, {**update.log, "redrawn/distance": apart})
            yield update


def distance(guess: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference, averaged over SCALES sizes: (n, c, h, w), (n, c, h, w) -> (n,).

    Stands in for the paper's perceptual distance (LPIPS), which needs a network trained on other images.
    """
    total = per_example((guess - truth).abs())
    for _ in range(SCALES - 1):
        guess, truth = (avg_pool2d(x, 2, ceil_mode=True) for x in (guess, truth))
        total = total + per_example((guess - truth).abs())
    return total / SCALES
