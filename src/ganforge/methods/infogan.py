"""A code that can be read back from the picture: InfoGAN (Chen et al., 2016, arXiv:1606.03657)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..core.method import Batch, Progress, Update
from ..networks.codes import Coded
from .around import Around
from .two_player import TwoPlayer, verdict


class InfoGAN(Around):
    """Any game of two players, and Q(code | picture) on the discriminator's trunk: both raise L_I, the bound on the information that
    a picture holds of its code (eq. 5 and 6).

    game: its discriminator is a `Branched` one, whose second head gives logits of the categorical code, then means and log-variances
    of the continuous ones; its generator takes latents of `latent`. weight, continuous_weight: lambda of the two kinds of code.
    """

    def __init__(self, game: TwoPlayer, latent: Coded, weight: float = 1.0, continuous_weight: float = 0.1) -> None:
        super().__init__(game)
        self.codes, self.weight, self.continuous_weight = latent, weight, continuous_weight
        self.kinds = latent.kinds
        """How many values y may have in exports["generator"](z, y), where the data has no classes."""

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        game, x = self.game, batch["x"]

        generator_moves = (now.step + 1) % game.critic_steps == 0
        z = self.latent(len(x))
        with torch.set_grad_enabled(game.reuse_fakes and generator_moves):
            drawn = game.generator(z)
        real, fake = game.shown(x), game.shown(drawn.detach())
        on_real, (on_fake, guess) = self.discriminator(real), self.discriminator.both(fake)
        penalty, sizes = game.penalty(((real, on_real), (fake, on_fake)), None, now)
        surprise, read = self.surprise(guess, z)
        yield Update(game.d, game.loss.d(on_real, on_fake).mean() + penalty + surprise, verdict(on_real, on_fake) | sizes | read)

        if generator_moves:
            z = z if game.reuse_fakes else self.latent(len(x))
            on_fake, guess = self.discriminator.both(game.shown(drawn if game.reuse_fakes else game.generator(z)))
            with torch.no_grad():
                rival = self.discriminator(real) if game.loss.relativistic else None
            yield Update(game.g, game.loss.g(on_fake, rival).mean() + self.surprise(guess, z)[0])

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
