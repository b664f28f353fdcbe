"""The discriminator also names the class: AC-GAN (Odena et al., 2016, arXiv:1610.09585)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

from ..core.method import Batch, Progress, Update
from .around import Around
from .two_player import TwoPlayer


class AuxiliaryClassifier(Around):
    """Any game of two players, both of whom also want classes to be told: its loss is the paper's L_S, the cross-entropy its L_C.

    game: its discriminator is a `Branched` one, whose second head gives class logits (n, k). class_weight: of L_C beside L_S; 1 in
    the paper. Batches hold y.
    """

    def __init__(self, game: TwoPlayer, class_weight: float = 1.0) -> None:
        super().__init__(game)
        self.class_weight = class_weight

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        y = batch["y"]

        def naming(told: Tensor, z: Tensor | None) -> tuple[Tensor, Mapping[str, Tensor]]:
            right = (told.argmax(1) == y).float().mean()
            return self.class_weight * cross_entropy(told, y), {"class/real" if z is None else "class/fake": right}

        return self.game.step(batch, now, naming)
