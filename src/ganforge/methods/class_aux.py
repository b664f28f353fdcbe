"""The discriminator also names the class: AC-GAN (Odena et al., 2016, arXiv:1610.09585)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..core.method import Batch, Progress, Update
from .around import Around
from .two_player import TwoPlayer, verdict


class AuxiliaryClassifier(Around):
    """Any game of two players, both of whom also want classes to be told: its loss is the paper's L_S, the cross-entropy its L_C.

    game: its discriminator is a `Branched` one, whose second head gives class logits (n, k). class_weight: of L_C beside L_S; 1 in
    the paper. Batches hold y.
    """

    def __init__(self, game: TwoPlayer, class_weight: float = 1.0) -> None:
        super().__init__(game)
        self.class_weight = class_weight

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        game, x, y = self.game, batch["x"], batch["y"]

        def judge(sample: Tensor) -> tuple[Tensor, Tensor]:
            return self.discriminator.both(sample, y)

        def draw() -> Tensor:
            return game.generator(self.latent(len(x)), y)

        generator_moves = (now.step + 1) % game.critic_steps == 0
        with torch.set_grad_enabled(game.reuse_fakes and generator_moves):
            drawn = draw()
        real, fake = game.shown(x), game.shown(drawn.detach())
        (on_real, told), (on_fake, told_fake) = judge(real), judge(fake)
        penalty, sizes = game.penalty(((real, on_real), (fake, on_fake)), y, now)
        naming = self.class_weight * (cross_entropy(told, y) + cross_entropy(told_fake, y))
        right = {"class/real": (told.argmax(1) == y).float().mean(), "class/fake": (told_fake.argmax(1) == y).float().mean()}
        yield Update(game.d, game.loss.d(on_real, on_fake).mean() + penalty + naming, verdict(on_real, on_fake) | sizes | right)

        if generator_moves:
            on_fake, told = judge(game.shown(drawn if game.reuse_fakes else draw()))
            with torch.no_grad():
                rival = judge(real)[0] if game.loss.relativistic else None
            yield Update(game.g, game.loss.g(on_fake, rival).mean() + self.class_weight * cross_entropy(told, y))
