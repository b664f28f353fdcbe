"""Critics that rebuild what they see, and score it by the error: EBGAN (arXiv:1609.03126) and BEGAN (arXiv:1703.10717)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from ..core.method import Batch, Method, Player, Progress, Update
from ..networks.heads import AutoEncoder
from .two_player import verdict


class _AutoEncoding(Method):
    """generator(z, y) against an auto-encoder, discriminator(x, y) -> minus the error (n,)."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: AutoEncoder,
        *,
        latent: Callable[[int], Tensor],
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.d = Player("discriminator", [discriminator], optimizer(list(discriminator.parameters())), None, schedule)
        self.g = Player("generator", [generator], optimizer(list(generator.parameters())), None, schedule)
        self.players = [self.d, self.g]

    @abstractmethod
    def step(self, batch: Batch, now: Progress) -> Iterator[Update]: ...

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator}


class EBGAN(_AutoEncoding):
    """Errors are energies: low for real examples, at least `margin` for fakes (Zhao et al., 2017, arXiv:1609.03126, eq. 1 and 2).

    pull_away: weight of the term that keeps the codes of fakes apart (sec. 2.4); 0: none.
    """

    def __init__(self, *networks: Any, margin: float = 1.0, pull_away: float = 0.1, **options: Any) -> None:
        super().__init__(*networks, **options)
        self.margin, self.pull_away = margin, pull_away

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, y = batch["x"], batch.get("y")

        with torch.no_grad():
            fake = self.generator(self.latent(len(x)), y)
        real, energy = -self.discriminator(x, y), -self.discriminator(fake, y)
        yield Update(self.d, (real + relu(self.margin - energy)).mean(), verdict(-real, -energy))

        fake = self.generator(self.latent(len(x)), y)
        code = self.discriminator.encoder(fake, y)
        yield Update(self.g, self.discriminator.error(fake, code, y).mean() + self.pull_away * alike(code))


class BEGAN(_AutoEncoding):
    """The errors of fakes are held at `diversity` times those of real examples (Berthelot et al., 2017, arXiv:1703.10717, sec. 3.4).

    gain: the paper's lambda_k, how fast k, the weight of fakes in the discriminator's loss, follows. k is a player of its own, one
    parameter that descends -k (diversity real - fake): so it is averaged over micro-batches and processes like all that learns.
    """

    def __init__(self, *networks: Any, diversity: float = 0.5, gain: float = 0.001, **options: Any) -> None:
        super().__init__(*networks, **options)
        self.diversity = diversity
        self.balance = nn.ParameterList([nn.Parameter(torch.zeros((), device=next(self.generator.parameters()).device))])
        mover = torch.optim.SGD(self.balance.parameters(), lr=gain)
        self.b = Player("balance", [self.balance], mover, _within_bounds)
        self.players = [*self.players, self.b]

    @property
    def k(self) -> Tensor:
        """The weight of fakes in the discriminator's loss, a scalar in [0, 1]."""
        return self.balance[0].detach()

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, y = batch["x"], batch.get("y")

        with torch.no_grad():
            fake = self.generator(self.latent(len(x)), y)
        real, error = -self.discriminator(x, y), -self.discriminator(fake, y)
        yield Update(self.d, real.mean() - self.k * error.mean(), verdict(-real, -error))

        real = real.detach().mean()
        error = -self.discriminator(self.generator(self.latent(len(x)), y), y).mean()
        off = self.diversity * real - error.detach()
        yield Update(self.g, error, {"balance/convergence": real + off.abs()})

        yield Update(self.b, -self.balance[0] * off, {"balance/k": self.k.clone()})


def _within_bounds(balance: nn.Module) -> None:
    for k in balance.parameters():
        k.data.clamp_(0, 1)


def alike(code: Tensor) -> Tensor:
    """The pulling-away term: mean squared cosine between the codes of different examples, (n, f) -> a scalar in [0, 1].

    (Zhao et al., 2017, arXiv:1609.03126, eq. 4.)
    """
    n = len(code)
    cosines = normalize(code.float(), dim=1) @ normalize(code.float(), dim=1).T
    return (cosines.square().sum() - n) / max(n * (n - 1), 1)
