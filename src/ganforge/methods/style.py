"""StyleGAN2's addition to the game: a generator whose images change evenly with the style (arXiv:1912.04958, sec. 3.2).

The rest of the algorithm lies where it belongs: the logistic loss in `losses`, lazy R1 in `penalties` and `two_player`, style
mixing and noise in the generator, which is their only user.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..core.method import Batch, Player, Progress, Update
from .around import Around
from .two_player import TwoPlayer


class Style(Around):
    """A game whose generator has `styles(z, y)` -> (n, layers, w) and `synthesis(styles)` -> (n, c, h, w).

    weight, every: of the path length penalty, added on every k-th move of the generator k times as strong (lazy regularisation, app. B;
    it is no move of its own, so Adam's numbers need no correction); decay: how fast the mean path length follows; share: of the batch
    that is looked at.
    """

    path: nn.ParameterList
    """Running mean of path lengths, one scalar: the a of eq. 4. A player of its own, so that all processes and micro-batches have one."""

    def __init__(self, game: TwoPlayer, *, weight: float = 2.0, every: int = 4, decay: float = 0.01, share: float = 0.5) -> None:
        super().__init__(game)
        self.weight, self.every, self.share = weight, every, share
        if weight:
            device = next(self.generator.parameters()).device
            self.path = nn.ParameterList([nn.Parameter(torch.zeros((), device=device))])
            self.mean = Player("path", [self.path], torch.optim.SGD(self.path.parameters(), lr=decay))
            self.players = [*game.players, self.mean]

    def step(self, batch: Batch, now: Progress) -> Iterator[Update]:
        for update in self.game.step(batch, now):
            if not (self.weight and update.player is self.game.g and now.step // self.game.critic_steps % self.every == 0):
                yield update
                continue
            y = batch.get("y")
            n = max(1, round(len(batch["x"]) * self.share))
            lengths = self.lengths(self.latent(n), y if y is None else y[:n])
            unevenness = (lengths - self.path[0].detach()).square().mean()  # eq. 4
            loss = update.loss + self.weight * self.every * unevenness
            yield Update(update.player, loss, {**update.log, "penalty/path_length": unevenness})
            apart = self.path[0] - lengths.detach().mean()
            yield Update(self.mean, apart.square() / 2, {"path/length": self.path[0].detach().clone()})

    def lengths(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Path lengths of the images of z (n, z), y (n,): (n,)."""
        styles = self.generator.styles(z, y)
        return path_lengths(self.generator.synthesis(styles), styles)


def path_lengths(x: Tensor, styles: Tensor) -> Tensor:
    """How far a random step in the image moves the style: (n, c, h, w) made of (n, layers, w) -> (n,).

    |J^T noise|, J the Jacobian of image by style, noise ~ N(0, I) over the square root of the pixels, so that the length does not
    depend on the resolution; root mean square over layers (StyleGAN2, arXiv:1912.04958, eq. 4).
    """
    noise = torch.randn_like(x) / (x.shape[2] * x.shape[3]) ** 0.5
    (slope,) = torch.autograd.grad((x * noise).sum(), styles, create_graph=True)
    return slope.float().square().sum(2).mean(1).sqrt()
