"""One generator against one discriminator: GAN, cGAN, DCGAN, LSGAN, WGAN(-GP), DRAGAN, SNGAN, R3GAN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Schedule, Update
from ..core.schedule import value
from ..losses import Pair, smooth
from ..penalties import PenaltyFunction, Sample


@dataclass(frozen=True)
class Penalty:
    """A penalty on the discriminator."""

    of: PenaltyFunction
    weight: float | Schedule
    every: int = 1
    """Applied on every k-th step with k times the weight (lazy regularisation, StyleGAN2, arXiv:1912.04958, sec. 3.1)."""
    share: float = 1.0
    """Share of the batch it looks at."""


class TwoPlayer(Method):
    """Networks are called as `generator(z, y)` and `discriminator(x, y)`; `y` is None without labels.

    latent: n -> z (n, z). pack: the discriminator judges so many examples of one kind at once, stacked along channels,
    so it must take pack * c channels (PacGAN, Lin et al., 2018, arXiv:1712.04086). label_smoothing: see `losses.smooth`.
    augment: changes every example at random before the discriminator sees it, real or generated (DiffAugment, arXiv:2006.10738, eq. 2-3);
    penalties look at its slope there, as at all that it is shown (R1 on augmented reals: ADA, arXiv:2006.06676, app. D).
    schedule: options of both players' optimisers over the run; d_schedule: the discriminator's, where they differ.
    reuse_fakes: the generator is moved on the very fakes that the discriminator has just learnt from: one generator pass less, but
    its graph is held meanwhile, so accumulation saves less memory.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        latent: Callable[[int], Tensor],
        loss: Pair,
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        penalties: Sequence[Penalty] = (),
        critic_steps: int = 1,
        constrain: Callable[[nn.Module], None] | None = None,
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
        d_schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
        label_smoothing: float = 0.0,
        pack: int = 1,
        reuse_fakes: bool = False,
        augment: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.latent, self.penalties, self.critic_steps, self.pack = latent, penalties, critic_steps, pack
        self.reuse_fakes, self.augment = reuse_fakes, augment or nn.Identity()
        self.loss = smooth(loss, label_smoothing) if label_smoothing else loss
        self.d = Player("discriminator", [discriminator], optimizer(list(discriminator.parameters())), constrain, d_schedule or schedule)
        self.g = Player("generator", [generator], optimizer(list(generator.parameters())), None, schedule)
        self.players = [self.d, self.g]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, y = batch["x"], batch.get("y")

        def judge(sample: Sample) -> Tensor:
            return self.discriminator(sample, y)

        def draw() -> Tensor:
            return self.generator(self.latent(len(x)), y)

        generator_moves = (now.step + 1) % self.critic_steps == 0
        with torch.set_grad_enabled(self.reuse_fakes and generator_moves):
            drawn = draw()
        real, fake = self.shown(x), self.shown(drawn.detach())
        on_real, on_fake = judge(real), judge(fake)
        penalty, sizes = self.penalty(((real, on_real), (fake, on_fake)), y, now)
        yield Update(self.d, self.loss.d(on_real, on_fake).mean() + penalty, verdict(on_real, on_fake) | sizes)

        if generator_moves:
            on_fake = judge(self.shown(drawn if self.reuse_fakes else draw()))
            with torch.no_grad():
                rival = judge(real) if self.loss.relativistic else None
            yield Update(self.g, self.loss.g(on_fake, rival).mean())

    def penalty(self, seen: Sequence[tuple[Tensor, Tensor]], y: Tensor | None, now: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the penalties that are due now, a scalar, and each one's unweighted mean by name.

        seen: real and fake samples with the logits they just got.
        """
        total, sizes = seen[0][0].new_zeros(()), {}
        for penalty in self.penalties:
            if now.step % penalty.every == 0:
                size = self._size(penalty, seen, y)
                total = total + value(penalty.weight, now) * penalty.every * size
                sizes[f"penalty/{getattr(penalty.of, '__name__', 'own')}"] = size
        return total, sizes

    def _size(self, penalty: Penalty, seen: Sequence[tuple[Tensor, Tensor]], y: Tensor | None) -> Tensor:
        n = max(1, round(len(seen[0][0]) * penalty.share))
        whole = n == len(seen[0][0])
        labels = y if y is None or whole else y[:n]

        def critic(sample: Sample) -> Tensor:
            known = next((logits for given, logits in seen if given is sample), None)  # a pass less for finite differences
            return self.discriminator(sample, labels) if known is None else known

        real, fake = (given if whole else given[:n] for given, _ in seen)
        return penalty.of(critic, real, fake).mean()

    def shown(self, x: Tensor) -> Tensor:
        """What the discriminator gets to see of examples (n, c, ...): augmented, then packed."""
        return self.packed(self.augment(x))

    def packed(self, x: Tensor) -> Tensor:
        """(n, c, ...) -> (n / pack, pack * c, ...)."""
        if self.pack == 1:
            return x
        if len(x) % self.pack:
            raise ValueError(f"a batch of {len(x)} cannot be packed by {self.pack}: choose a batch that it divides.")
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator}


def verdict(on_real: Tensor, on_fake: Tensor) -> dict[str, Tensor]:
    """Mean logits, and the share of each side that falls on its own side of their midpoint.

    The midpoint, not 0, because the level of a Wasserstein or relativistic critic means nothing.
    """
    on_real, on_fake = on_real.detach(), on_fake.detach()
    real, fake = on_real.mean(), on_fake.mean()
    middle = (real + fake) / 2
    return {
        "logits/real": real,
        "logits/fake": fake,
        "accuracy/real": (on_real > middle).float().mean(),
        "accuracy/fake": (on_fake < middle).float().mean(),
    }
