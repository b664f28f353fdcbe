"""Translation between two domains without pairs, there and back: CycleGAN (Zhu et al., 2017, arXiv:1703.10593)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Update
from ..distances import Terms, l1, used, weighed
from ..losses import Pair
from .two_player import verdict


class Pool(nn.Module):
    """Shows earlier fakes in place of half of the new: (n, c, h, w) -> the same (Shrivastava et al., 2017, arXiv:1612.07828, sec. 2.3).

    The rule of CycleGAN's published code, image by image: while there is room, an image is stored and shown; after that, with a chance of
    one half, it takes the place of a stored one, which is shown in its stead. Each process has its own pool; resumed, they all start with
    that of the first.
    """

    past: Tensor
    """(size, c, h, w)."""
    filled: Tensor
    """(1,): how many of them are images yet."""

    def __init__(self, size: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def forward(self, fakes: Tensor) -> Tensor:
        return torch.cat([self._change(fake) for fake in fakes.to(self.past.dtype).split(1)]) if len(self.past) else fakes.detach()

    def _change(self, fake: Tensor) -> Tensor:
        """(1, c, h, w) -> what is shown for it. Nothing waits for the device, so every choice is a number on it."""
        room = self.filled < len(self.past)
        place = torch.where(room, self.filled, torch.randint(len(self.past), (1,), device=fake.device))
        change = ~room & (torch.rand(1, device=fake.device) < 0.5)
        old = self.past.index_select(0, place)
        self.past.index_copy_(0, place, torch.where((room | change).view(1, 1, 1, 1), fake, old))
        self.filled += room
        return torch.where(change.view(1, 1, 1, 1), old, fake)


class CycleGAN(Method):
    """Batches hold x, images of domain B, and given, images of domain A that are no partners of x, each (n, c, h, w) in [-1, 1].

    generator: A -> B; back: B -> A; a critic(image) -> (logits (n, k), [maps]) for each domain. pools: of fakes of A and of B.
    cycle_weight: of there and back being where one was (eq. 2), both ways; identity_weight: of leaving images of the wanted domain as they
    are (sec. 5.2), which keeps colours; 0: none. terms: distances of what was made to what it was made of, both ways added up.
    """

    paired = False
    """x is not what should become of `given`."""

    def __init__(
        self,
        generator: nn.Module,
        back: nn.Module,
        critic_a: nn.Module,
        critic_b: nn.Module,
        *,
        pools: tuple[Pool, Pool],
        loss: Pair,
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
        adversarial_weight: float = 1.0,
        cycle_weight: float = 10.0,
        identity_weight: float = 5.0,
        terms: Terms | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.back, self.critic_a, self.critic_b = generator, back, critic_a, critic_b
        self.pool_a, self.pool_b = pools
        self.loss, self.adversarial_weight = loss, adversarial_weight
        self.cycle_weight, self.identity_weight, self.terms = cycle_weight, identity_weight, used(terms or {})
        makers, critics = [generator, back], [critic_a, critic_b]
        self.g = Player("generator", makers, optimizer([p for net in makers for p in net.parameters()]), None, schedule)
        self.d = Player("discriminator", critics, optimizer([p for net in critics for p in net.parameters()]), None, schedule)
        self.players = [self.g, self.d]

    def given(self, batch: Batch) -> Tensor:
        """What the generator makes its images of."""
        return batch["given"]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        a, b = self.given(batch), batch["x"]

        fake_a, fake_b = self.back(b), self.generator(a)
        fool = self.loss.g(self.critic_a(fake_a)[0]).mean() + self.loss.g(self.critic_b(fake_b)[0]).mean()
        off = {"distance/cycle": l1(self.back(fake_b), a).mean() + l1(self.generator(fake_a), b).mean()}
        total = self.adversarial_weight * fool + self.cycle_weight * off["distance/cycle"]
        if self.identity_weight:
            off["distance/identity"] = l1(self.back(a), a).mean() + l1(self.generator(b), b).mean()
            total = total + self.identity_weight * off["distance/identity"]
        if self.terms:
            (there, to_b), (back, to_a) = weighed(self.terms, fake_b, a), weighed(self.terms, fake_a, b)
            total, off = total + there + back, off | {name: to_b[name] + to_a[name] for name in to_b}
        yield Update(self.g, total, off)

        real_a, past_a = self.critic_a(a)[0], self.critic_a(self.pool_a(fake_a))[0]
        real_b, past_b = self.critic_b(b)[0], self.critic_b(self.pool_b(fake_b))[0]
        loss = self.loss.d(real_a, past_a).mean() + self.loss.d(real_b, past_b).mean()
        yield Update(self.d, loss, verdict(torch.cat([real_a, real_b]), torch.cat([past_a, past_b])))

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "backward": self.back}
