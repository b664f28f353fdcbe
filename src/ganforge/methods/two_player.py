"""One generator against one discriminator: GAN, cGAN, DCGAN, LSGAN, WGAN(-GP), DRAGAN, SNGAN, R3GAN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Schedule, Update
from ..core.schedule import value
from ..losses import Pair, smooth
from ..networks.augment import Change
from ..networks.diversity import mode_seeking
from ..networks.heads import Branched
from ..networks.image.equalised import BatchNearness, BatchSpread
from ..penalties import PenaltyFunction, Sample

Aside = Callable[[Tensor, Tensor | None], tuple[Tensor, Mapping[str, Tensor]]]
"""What the discriminator's second head says of examples (n, k), and the latents (n, z) that they were drawn from, None for real ones ->
a loss that both players descend, a scalar, and numbers worth logging."""

TOGETHER = (nn.modules.batchnorm._BatchNorm, BatchSpread, BatchNearness)
"""Layers by which a logit depends on the batch: that of a part of a batch is not the part of its logits."""


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
    augment: changes every example at random before the discriminator sees it, real or generated (DiffAugment, arXiv:2006.10738, eq. 2-3).
    Penalties are of the example before the change, by what the discriminator says of it after: slopes are taken through the change,
    as in the published code of ADA (arXiv:2006.06676) and R3GAN (arXiv:2501.05441). A penalty draws one change an example for itself.
    schedule: options of both players' optimisers over the run; d_schedule: the discriminator's, where they differ.
    reuse_fakes: the generator is moved on the very fakes that the discriminator has just learnt from: one generator pass less, but
    its graph is held meanwhile, so accumulation saves less memory.
    hide: replaces some of the classes y (n,) by one that stands for none, for both players alike (see `conditioning.hidden`).
    diversity: weight of `diversity.mode_seeking` on the generator, at the price of one more pass of it.
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
        augment: Change | None = None,
        hide: Callable[[Tensor], Tensor] | None = None,
        diversity: float = 0.0,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.latent, self.penalties, self.critic_steps, self.pack = latent, penalties, critic_steps, pack
        self.reuse_fakes, self.augment, self.hide, self.diversity = reuse_fakes, augment, hide, diversity
        self.alone = not any(isinstance(layer, TOGETHER) for layer in discriminator.modules())
        self.loss = smooth(loss, label_smoothing) if label_smoothing else loss
        self.d = Player("discriminator", [discriminator], optimizer(list(discriminator.parameters())), constrain, d_schedule or schedule)
        self.g = Player("generator", [generator], optimizer(list(generator.parameters())), None, schedule)
        self.players = [self.d, self.g]

    def step(self, batch: Batch, now: Progress, aside: Aside | None = None) -> Iterator[Update]:
        """aside: what else both players want, where the discriminator is a `Branched` one (AC-GAN, InfoGAN)."""
        x, y = batch["x"], batch.get("y")
        y = self.hide(y) if self.hide and y is not None else y

        def judge(sample: Tensor) -> tuple[Tensor, Tensor | None]:
            return cast(Branched, self.discriminator).both(sample, y) if aside else (self.discriminator(sample, y), None)

        def draw() -> tuple[Tensor, Tensor]:
            z = self.latent(len(x))
            return z, self.generator(z, y)

        generator_moves = (now.step + 1) % self.critic_steps == 0
        with torch.set_grad_enabled(self.reuse_fakes and generator_moves):
            z, drawn = draw()
        real, fake = self.shown(x), self.shown(drawn.detach())
        (on_real, told), (on_fake, guess) = judge(real), judge(fake)
        penalty, sizes = self.penalty(((self.packed(x), on_real), (self.packed(drawn.detach()), on_fake)), y, now)
        more, read = _sum(aside, (told, None), (guess, z))
        yield Update(self.d, self.loss.d(on_real, on_fake).mean() + penalty + more, verdict(on_real, on_fake) | sizes | read)

        if generator_moves:
            z, drawn = (z, drawn) if self.reuse_fakes else draw()
            on_fake, guess = judge(self.shown(drawn))
            with torch.no_grad():
                rival = judge(real)[0] if self.loss.relativistic else None
            loss, sizes = self.loss.g(on_fake, rival).mean() + _sum(aside, (guess, z))[0], {}
            if self.diversity:
                sizes["diversity/alike"] = mode_seeking(z, drawn, *draw())
                loss = loss + self.diversity * sizes["diversity/alike"]
            yield Update(self.g, loss, sizes)

    def penalty(self, seen: Sequence[tuple[Tensor, Tensor]], y: Tensor | None, now: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the penalties that are due now, a scalar, and each one's unweighted mean by name.

        seen: real and fake samples, packed but not augmented, with the logits they just got.
        """
        total, sizes = seen[0][1].new_zeros(()), {}
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
        parts = [(given, logits) if whole else (given[:n], logits[:n]) for given, logits in seen]
        (real, _), (fake, _) = parts
        change = self.augment.drawn(self.unpacked(real)) if self.augment else None

        def critic(sample: Sample) -> Tensor:
            if change:
                return self.discriminator(self.packed(change(self.unpacked(cast(Tensor, sample)))), labels)
            known = next((logits for given, logits in parts if given is sample and (whole or self.alone)), None)  # a pass less
            return self.discriminator(sample, labels) if known is None else known

        return penalty.of(critic, real, fake).mean()

    def shown(self, x: Tensor) -> Tensor:
        """What the discriminator gets to see of examples (n, c, ...): augmented, then packed."""
        return self.packed(self.augment(x) if self.augment else x)

    def packed(self, x: Tensor) -> Tensor:
        """(n, c, ...) -> (n / pack, pack * c, ...)."""
        if self.pack == 1:
            return x
        if len(x) % self.pack:
            raise ValueError(f"a batch of {len(x)} cannot be packed by {self.pack}: choose a batch that it divides.")
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])

    def unpacked(self, x: Tensor) -> Tensor:
        """The inverse of `packed`."""
        return x.reshape(len(x) * self.pack, x.shape[1] // self.pack, *x.shape[2:])

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


def _sum(aside: Aside | None, *said: tuple[Tensor | None, Tensor | None]) -> tuple[Tensor | float, dict[str, Tensor]]:
    """The loss aside of real and fake examples together, and all that it logs."""
    total: Tensor | float = 0.0
    logged: dict[str, Tensor] = {}
    for told, z in said:
        if aside and told is not None:
            loss, numbers = aside(told, z)
            total, logged = total + loss, logged | {**numbers}
    return total, logged
