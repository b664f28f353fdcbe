"""Translation whose right answers are known: pix2pix (Isola et al., 2017, arXiv:1611.07004), and what pix2pixHD adds (arXiv:1711.11585)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Update
from ..distances import Terms, feature_matching, l1, used, weighed
from ..losses import Pair
from .two_player import verdict


class Paired(Method):
    """Batches hold x, the wanted images (n, c, h, w), and given, their inputs (n, d, h, w), all in [-1, 1].

    generator(given) -> (n, c, h, w); discriminator(x, given) -> ([logits (n, k) of each scale], [maps]): each scale plays a game of its
    own, and their losses are added up (pix2pixHD, eq. 3). pixel_weight: of the mean absolute difference to x (pix2pix, eq. 3);
    feature_weight: of that between the discriminator's maps of made and wanted images (pix2pixHD, eq. 4); terms: more distances to x.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        loss: Pair,
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
        adversarial_weight: float = 1.0,
        pixel_weight: float = 100.0,
        feature_weight: float = 0.0,
        terms: Terms | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.loss = generator, discriminator, loss
        self.adversarial_weight, self.pixel_weight, self.feature_weight = adversarial_weight, pixel_weight, feature_weight
        self.terms = used(terms or {})
        self.d = Player("discriminator", [discriminator], optimizer(list(discriminator.parameters())), None, schedule)
        self.g = Player("generator", [generator], optimizer(list(generator.parameters())), None, schedule)
        self.players = [self.d, self.g]

    def given(self, batch: Batch) -> Tensor:
        """What the generator makes its images of."""
        return batch["given"]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, given = batch["x"], self.given(batch)

        made = self.generator(given)
        on_real, on_fake = self.discriminator(x, given)[0], self.discriminator(made.detach(), given)[0]
        loss = torch.stack([self.loss.d(*scale).mean() for scale in zip(on_real, on_fake, strict=True)]).sum()
        yield Update(self.d, loss, verdict(torch.cat(on_real, 1), torch.cat(on_fake, 1)))

        rivals: Sequence[Tensor | None] = [None] * len(on_fake)
        wanted = list[Tensor]()
        on_fake, maps = self.discriminator(made, given)
        if self.loss.relativistic or self.feature_weight:
            with torch.no_grad():
                rivals, wanted = self.discriminator(x, given)
        fool = torch.stack([self.loss.g(*scale).mean() for scale in zip(on_fake, rivals, strict=True)]).sum()
        off = {"distance/pixels": l1(made, x).mean()}
        total = self.adversarial_weight * fool + self.pixel_weight * off["distance/pixels"]
        if self.feature_weight:
            off["distance/features"] = feature_matching(maps, wanted).mean()
            total = total + self.feature_weight * off["distance/features"]
        if self.terms:
            more, seen = weighed(self.terms, made, x)
            total, off = total + more, off | seen
        yield Update(self.g, total, off)

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator}
