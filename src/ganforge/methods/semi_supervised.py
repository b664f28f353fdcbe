"""A discriminator that is also the classifier (Salimans et al., 2016, arXiv:1606.03498, sec. 3.1 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..core.method import Batch, Method, Player, Progress, Schedule, Update
from ..core.schedule import value
from ..losses import logistic
from ..networks.heads import Encoder
from .two_player import verdict


class SemiSupervised(Method):
    """Batches hold x, any examples, and known, as many labelled ones with their classes `kind` (n,).

    classifier: an `Encoder` into class logits (n, k). unlabelled_weight: of L_unsupervised, by which the classifier tells real examples
    from fakes; the generator matches the mean features of real ones (sec. 3.1).
    """

    def __init__(
        self,
        generator: nn.Module,
        classifier: Encoder,
        *,
        latent: Callable[[int], Tensor],
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
        unlabelled_weight: float | Schedule = 1.0,
    ) -> None:
        super().__init__()
        self.generator, self.classifier, self.latent, self.unlabelled_weight = generator, classifier, latent, unlabelled_weight
        self.d = Player("discriminator", [classifier], optimizer(list(classifier.parameters())), None, schedule)
        self.g = Player("generator", [generator], optimizer(list(generator.parameters())), None, schedule)
        self.players = [self.d, self.g]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, known, kind = batch["x"], batch["known"], batch["kind"]

        with torch.no_grad():
            fake = self.generator(self.latent(len(x)))
        told = self.classifier(known)
        on_real, on_fake = (self.classifier(v).logsumexp(1) for v in (x, fake))  # D = Z / (Z + 1), so its logit is log Z
        unlabelled = logistic.d(on_real, on_fake).mean()
        right = (told.argmax(1) == kind).float().mean()
        loss = cross_entropy(told, kind) + value(self.unlabelled_weight, now) * unlabelled
        yield Update(self.d, loss, verdict(on_real, on_fake) | {"class/labelled": right})

        with torch.no_grad():
            wanted = self.classifier.trunk(x).float().mean(0)
        got = self.classifier.trunk(self.generator(self.latent(len(x)))).float().mean(0)
        yield Update(self.g, (got - wanted).square().mean())

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "classifier": self.classifier}
