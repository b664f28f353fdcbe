"""A way back from pictures to latents, learnt beside the generator: BiGAN (Donahue et al., 2017, arXiv:1605.09782)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.method import Batch, Method, Player, Progress, Update
from ..losses import Pair
from ..networks.heads import Encoder, Joint
from .two_player import verdict


class BiGAN(Method):
    """Pairs (x, E(x)) against pairs (G(z), z): at the optimum E inverts G (theorem 2).

    generator(z, y), encoder(x, y) -> z, joint(x, z, y) -> logits (n,). Generator and encoder are one player, who descends the
    discriminator's loss with real and fake exchanged: the paper's inverse objective (sec. 3.4), for any loss that compares no pairs.
    """

    def __init__(
        self,
        generator: nn.Module,
        encoder: Encoder,
        joint: Joint,
        *,
        latent: Callable[[int], Tensor],
        loss: Pair,
        optimizer: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer],
        schedule: Callable[[Progress], Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.encoder, self.joint, self.latent, self.loss = generator, encoder, joint, latent, loss
        both = [generator, encoder]
        self.d = Player("discriminator", [joint], optimizer(list(joint.parameters())), None, schedule)
        self.g = Player("generator", both, optimizer([p for net in both for p in net.parameters()]), None, schedule)
        self.players = [self.d, self.g]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        x, y = batch["x"], batch.get("y")
        z = self.latent(len(x))

        with torch.no_grad():
            code, fake = self.encoder(x, y), self.generator(z, y)
        on_real, on_fake = self.joint(x, code, y), self.joint(fake, z, y)
        yield Update(self.d, self.loss.d(on_real, on_fake).mean(), verdict(on_real, on_fake))

        on_real, on_fake = self.joint(x, self.encoder(x, y), y), self.joint(self.generator(z, y), z, y)
        yield Update(self.g, self.loss.d(on_fake, on_real).mean())

    @property
    def exports(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "encoder": self.encoder}
