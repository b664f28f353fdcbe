"""Small methods and batches for the contract tests: two points in the plane, networks of a few dozen weights."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import SGD, Adam

from ganforge import losses, penalties
from ganforge.constraints import weight_clipping
from ganforge.core.method import Method
from ganforge.core.schedule import cosine
from ganforge.data.images import Images
from ganforge.methods.two_player import Penalty, TwoPlayer


class Net(nn.Module):
    """(n, a), class ignored -> (n, b), or (n,) for b = 1."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(a, 16), nn.Tanh(), nn.Linear(16, b))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.body(x)
        return h.squeeze(1) if h.shape[1] == 1 else h


def two_player(
    loss: losses.Pair = losses.logistic, optimizer: Callable = partial(Adam, lr=1e-2), d_in: int = 2, **options: Any
) -> TwoPlayer:
    options.setdefault("latent", lambda n: torch.randn(n, 4))
    return TwoPlayer(Net(4, 2), Net(d_in, 1), loss=loss, optimizer=optimizer, **options)


METHODS: dict[str, Callable[..., Method]] = {
    "gan": two_player,
    "smooth": partial(two_player, label_smoothing=0.1),
    "wgan": partial(two_player, losses.wasserstein, constrain=weight_clipping(0.1), critic_steps=2),
    "wgan_gp": partial(two_player, losses.wasserstein, penalties=[Penalty(penalties.gradient_penalty, 10.0)], critic_steps=2),
    "r3gan": partial(
        two_player, losses.relativistic, penalties=[Penalty(penalties.r1, cosine(1, 0.1)), Penalty(penalties.r2, 1.0, every=2)]
    ),
    "cheap": partial(two_player, losses.relativistic, penalties=[Penalty(penalties.r1_finite_difference, 1.0, every=3, share=0.5)]),
    "reusing": partial(two_player, reuse_fakes=True, critic_steps=2),
    "whole": partial(
        two_player, losses.relativistic, penalties=[Penalty(penalties.r1_finite_difference, 1.0), Penalty(penalties.lecam, 0.1)]
    ),
    "packed": partial(two_player, d_in=4, pack=2),
    "scheduled": partial(two_player, schedule=lambda now: {"lr": 0.01 * (1 - now.fraction), "betas": (0.5, 0.9 + 0.09 * now.fraction)}),
    "diverse": partial(two_player, losses.relativistic, diversity=0.1),
    "rmsprop": partial(two_player, optimizer=partial(torch.optim.RMSprop, lr=1e-3)),
}


def given_latents(n: int = 8, parts: int = 1) -> Callable[[int], Tensor]:
    """Latents that do not depend on how a batch is cut: the k-th call gets the rows of micro-batch k mod parts."""
    z = torch.randn(n, 4, generator=torch.Generator().manual_seed(3))
    calls = iter(range(10**6))
    return lambda _: z.chunk(parts)[next(calls) % parts]


def plain_sgd(latent: Callable[[int], Tensor]) -> TwoPlayer:
    """Gradients show linearly in the weights, nothing is random: for equalities between ways of computing one step."""
    torch.manual_seed(0)
    return two_player(losses.relativistic, partial(SGD, lr=0.1), latent=latent, penalties=[Penalty(penalties.r1, 2.0)])


def draws(recipe: type) -> bool:
    """Whether models of a recipe draw images; others make images of images, and learn from other data."""
    return typing.get_type_hints(recipe)["data"] is Images


def data_for(recipe: type, folder: Path, count: int = 6) -> str:
    """Data that a recipe of that class can be trained on: digits, or pictures in two folders, of equal names."""
    if draws(recipe):
        return "digits"
    for k, domain in enumerate(("trainA", "trainB")):
        (folder / domain).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.random.default_rng(10 * k + i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC).save(folder / domain / f"{i}.png")
    return str(folder)


class Points:
    """An endless data set in the plane with the interface of the real ones."""

    def batches(
        self, size: int, *, seed: int = 0, start: int = 0, rank: int = 0, world: int = 1, device: str = "cpu"
    ) -> Iterator[dict[str, Tensor]]:
        step = start
        while True:
            draw = torch.Generator().manual_seed(seed * 7919 + step)
            yield {"x": torch.randn(size, 2, generator=draw).chunk(world)[rank]}
            step += 1
