"""Restoration: learn what is likely first and what is lifelike last (SRGAN, arXiv:1609.04802, sec. 3.3; ESRGAN, arXiv:1809.00219).

One network, three phases, each a share of the budget. The discriminator begins against a generator that is good already, and learns
alone until it can tell something (DeOldify calls it NoGAN). What is averaged in the game is averaged over the game alone: weights of
before it would blur it away.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Update
from ..distances import Terms, feature_matching, used, weighed
from ..losses import Pair
from ..networks.image.compose import Colour
from .two_player import verdict

Degrade = Callable[[Tensor], Tensor]
"""Clean images (n, 3, h, w) in [-1, 1] -> what the generator is given of them, (n, c, h', w')."""
ALONE = 0.25
"""Share of the adversarial phases in which the discriminator learns alone."""
CALM = 0.1
"""Learning rate of the adversarial phase, as a fraction of that at the start."""
RIVAL = 1.0
"""Learning rate of the discriminator, likewise."""
END = 0.01
"""Learning rate at the end of the fidelity phase, likewise."""


class Restoration(Method):
    """Batches hold x, clean images (n, 3, h, w) in [-1, 1]; given, where they have it, else it is made by `degrade(x)`.

    generator(given) -> (n, 3, h, w); discriminator(x) -> (logits (n, k), [maps]), None where adversarial is 0. Phases, by the fraction of
    the budget: fidelity until 1 - adversarial, with a learning rate falling by a half cosine; the discriminator alone; both, at a tenth
    of the rate. terms: of the generator's loss, in both its phases; late_terms: more of them, in the game alone; feature_weight: of the
    difference of the discriminator's maps (pix2pixHD, arXiv:1711.11585, eq. 4); adversarial_weight: of `loss`. The last two in the game.
    Exports beside the generator the "faithful" one, as it was at the end of the first phase, its average too; a run without a game has
    only the one.
    """

    discriminator: Any
    ways: tuple[str, ...] = ("generator",)
    """Exports that make x of `given`."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        *,
        degrade: Degrade,
        loss: Pair,
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        lr: float,
        terms: Terms,
        late_terms: Terms | None = None,
        adversarial: float = 0.2,
        feature_weight: float = 1.0,
        adversarial_weight: float = 0.01,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.degrade, self.loss, self.lr = generator, discriminator, degrade, loss, lr
        self.terms, self.late_terms = used(terms), used({**terms, **(late_terms or {})})
        self.feature_weight, self.adversarial_weight = feature_weight, adversarial_weight
        self.g = Player("generator", [generator], optimizer(list(generator.parameters())), None, self.schedule)
        self.players, self.alone, self.both = [self.g], 1.0, 1.0
        if discriminator is not None and adversarial:
            self.faithful, self.ways = copy.deepcopy(generator).requires_grad_(False), ("generator", "faithful")
            self.d = Player("discriminator", [discriminator], optimizer(list(discriminator.parameters())), None, self.d_schedule)
            self.players, self.alone, self.both = [self.g, self.d], 1 - adversarial, 1 - adversarial * (1 - ALONE)
            ends = (0.0, self.alone, self.both, 1.0)
            self.stages = {(a + b) / 2: b - a for a, b in pairwise(ends)}

    def given(self, batch: Batch) -> Tensor:
        """What the generator makes its images of: (n, c, h', w')."""
        with torch.no_grad():
            return batch["given"] if "given" in batch else self.degrade(batch["x"])

    def judged(self, batch: Batch) -> Tensor:
        """The same without the dots of true colour: whoever brings a black-and-white picture seldom has any, and its rivals never do."""
        given = self.given(batch)
        return torch.cat([given[:, :1], torch.zeros_like(given[:, 1:])], 1) if isinstance(self.generator, Colour) else given

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, given = batch["x"], self.given(batch)

        if now.fraction < self.alone:
            yield Update(self.g, *weighed(self.terms, self.generator(given), x))
            self.follow()
            return

        with torch.set_grad_enabled(now.fraction >= self.both):
            made = self.generator(given)
        on_real, on_fake = self.discriminator(x)[0], self.discriminator(made.detach())[0]
        yield Update(self.d, self.loss.d(on_real, on_fake).mean(), verdict(on_real, on_fake))

        if now.fraction >= self.both:
            on_fake, maps = self.discriminator(made)
            with torch.no_grad():
                rival, wanted = self.discriminator(x)
            total, off = weighed(self.late_terms, made, x)
            off["distance/features"] = feature_matching(maps, wanted).mean()
            total = total + self.feature_weight * off["distance/features"]
            yield Update(self.g, total + self.adversarial_weight * self.loss.g(on_fake, rival).mean(), off)

    @torch.no_grad()
    def follow(self) -> None:
        """Bring the faithful network, if there is to be one, to where the generator is."""
        if "faithful" not in self.ways:
            return
        ours, theirs = ([*net.parameters(), *net.buffers()] for net in (self.faithful, self.generator))
        torch._foreach_copy_(ours, theirs)

    def resting(self, now: Progress) -> Collection[str]:
        """The faithful network, from the end of the first phase on."""
        return self.ways[1:] if now.fraction >= self.alone else ()

    def since(self, now: Progress) -> float:
        """Where the game of both begins, from then on."""
        return self.both if self.both < 1 and now.fraction >= self.both else 0.0

    def d_schedule(self, now: Progress) -> Mapping[str, Any]:
        """The learning rate of the discriminator, which stays."""
        return {"lr": self.lr * RIVAL}

    def schedule(self, now: Progress) -> Mapping[str, Any]:
        """The learning rate of the generator: a half cosine over the fidelity phase, then a calm one."""
        if now.fraction >= self.alone:
            return {"lr": self.lr * CALM}
        return {"lr": self.lr * (END + (1 - END) * (1 + math.cos(math.pi * now.fraction / self.alone)) / 2)}

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {way: getattr(self, way) for way in self.ways}
