"""A code that can be read back from the picture: InfoGAN (Chen et al., 2016, arXiv:1606.03657)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

from ..core.method import Batch, Progress, Update
from ..networks.codes import Coded
from .around import Around
from .two_player import TwoPlayer


class InfoGAN(Around):
    """Any game of two players, and Q(code | picture) on the discriminator's trunk: both raise L_I, the bound on the information that
    a picture holds of its code (eq. 5 and 6).

    game: its discriminator is a `Branched` one, whose second head gives logits of the categorical code, then means and log-variances
    of the continuous ones; its generator gets latents of `latent`. weight, continuous_weight: lambda of the two kinds of code.
    """

    def __init__(self, game: TwoPlayer, latent: Coded, weight: float = 1.0, continuous_weight: float = 0.1) -> None:
        super().__init__(game)
        game.latent = self.codes = latent
        self.weight, self.continuous_weight = weight, continuous_weight
        self.kinds = latent.kinds
        """How many values y may have in exports["generator"](z, y), where the data has no classes."""

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        def reading(guess: Tensor, z: Tensor | None) -> tuple[Tensor, Mapping[str, Tensor]]:
            return (guess.new_zeros(()), {}) if z is None else self.surprise(guess, z)  # real pictures have no code

        return self.game.step({key: batch[key] for key in ("x", "held") if key in batch}, now, reading)

    def surprise(self, guess: Tensor, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """lambda times -E log Q(code | picture), a scalar, and how well codes are read. guess (n, kinds + 2 continuous), z (n, ...)."""
        kind, dials = self.latent.code(z)
        told, mean, spread = guess.float().split([self.kinds, dials.shape[1], dials.shape[1]], 1)
        spread = spread.clamp(-4, 4)  # a log-variance: a code that is read exactly must not win without end
        off = (spread + (dials - mean) ** 2 / spread.exp() + math.log(2 * math.pi)).sum(1).mean() / 2
        read = {"code/right": (told.argmax(1) == kind).float().mean()}
        if dials.shape[1]:
            read["code/error"] = (dials - mean).detach().square().mean().sqrt()
        return self.weight * cross_entropy(told, kind) + self.continuous_weight * off, read

    @property
    def latent(self) -> Coded:
        return self.codes
