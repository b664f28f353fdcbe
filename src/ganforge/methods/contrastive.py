"""Translation without pairs or a way back: CUT and FastCUT (Park et al., 2020, arXiv:2007.15651)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Update
from ..distances import Terms, used, weighed
from ..losses import Pair
from ..networks.patches import PatchHeads, patch_nce, places
from .two_player import verdict


class CUT(Method):
    """Batches hold x, images of domain B, and given, images of domain A that are no partners of x, each (n, c, h, w) in [-1, 1].

    generator(given) -> (n, c, h, w), and features(image) -> [maps] on the way; discriminator(x) -> (logits (n, k), [maps]).
    A place of the made image is to be more like the same place of the given one, as the generator itself sees them, than like other
    places (eq. 3). heads: compare these maps, at so many `patches` each; they move with the generator. identity: ask the same of
    images of B and what is made of them (eq. 5), each with half the weight, as the published code. mirror: show the generator half of
    the images mirrored, and mirror its maps back (FastCUT); they must show the image without a border on one side alone. terms: distances
    of what was made to what was given.
    """

    generator: Any
    """Has `features` beside `forward`."""
    paired = False
    """x is not what should become of `given`."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        heads: PatchHeads,
        *,
        loss: Pair,
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
        adversarial_weight: float = 1.0,
        contrast_weight: float = 1.0,
        patches: int = 256,
        identity: bool = True,
        mirror: bool = False,
        terms: Terms | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.heads, self.loss = generator, discriminator, heads, loss
        self.adversarial_weight, self.contrast_weight = adversarial_weight, contrast_weight
        self.patches, self.identity, self.mirror, self.terms = patches, identity, mirror, used(terms or {})
        makers = [generator, heads]
        self.d = Player("discriminator", [discriminator], optimizer(list(discriminator.parameters())), None, schedule)
        self.g = Player("generator", makers, optimizer([p for net in makers for p in net.parameters()]), None, schedule)
        self.players = [self.d, self.g]

    def given(self, batch: Batch) -> Tensor:
        """What the generator makes its images of."""
        return batch["given"]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        a, b = self.given(batch), batch["x"]

        turned = torch.rand(len(a), device=a.device) < 0.5 if self.mirror else None
        shown = mirrored(a, turned)
        made = self.generator(torch.cat([shown, b]) if self.identity else shown)
        fake = made[: len(a)]
        on_real, on_fake = self.discriminator(b)[0], self.discriminator(fake.detach())[0]
        yield Update(self.d, self.loss.d(on_real, on_fake).mean(), verdict(on_real, on_fake))

        fool = self.loss.g(self.discriminator(fake)[0]).mean()
        lost = {"contrast/content": self.contrast(a, fake, turned)}
        if self.identity:
            lost["contrast/identity"] = self.contrast(b, made[len(a) :])
        contrast = torch.stack([*lost.values()]).mean()
        total = self.adversarial_weight * fool + self.contrast_weight * contrast
        if self.terms:
            more, off = weighed(self.terms, fake, shown)
            total, lost = total + more, lost | off
        yield Update(self.g, total, lost)

    def contrast(self, source: Tensor, made: Tensor, turned: Tensor | None = None) -> Tensor:
        """Mean of `patch_nce` over layers and images, a scalar: of what was made of (n, c, h, w), (n,) bool of which were mirrored."""
        got = [mirrored(m, turned) for m in self.generator.features(made)]
        at = places(got, self.patches)
        with torch.no_grad():
            keys = self.heads(self.generator.features(source), at)
        return torch.stack([patch_nce(q, k).mean() for q, k in zip(self.heads(got, at), keys, strict=True)]).mean()

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator}


def mirrored(x: Tensor, which: Tensor | None) -> Tensor:
    """(n, c, h, w) with those of (n,) bool mirrored left to right; None: none of them."""
    return x if which is None else torch.where(which.view(-1, 1, 1, 1), x.flip(3), x)
