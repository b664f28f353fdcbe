"""Small versions of the games that are not plain two-player ones, and batches for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam

from ganforge import losses
from ganforge.core.method import Method
from ganforge.methods.autoencoding import BEGAN, EBGAN
from ganforge.methods.class_aux import AuxiliaryClassifier
from ganforge.methods.encoder import BiGAN
from ganforge.methods.infogan import InfoGAN
from ganforge.methods.semi_supervised import SemiSupervised
from ganforge.methods.two_player import TwoPlayer
from ganforge.networks.codes import Coded
from ganforge.networks.conditioning import Join, Projection
from ganforge.networks.heads import AutoEncoder, Branched, Encoder, Joint

from .toys import Net


class Trunk(nn.Module):
    """(n, 2), class ignored -> logits (n,), by way of 16 features."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(2, 16), nn.Tanh()), Projection(16)

    def forward(self, x, y=None):
        return self.head(self.body(x), y)


class Drawer(nn.Module):
    """z (n, a), y (n,) of three classes -> (n, 2)."""

    def __init__(self, a: int) -> None:
        super().__init__()
        self.join, self.net = Join(3, 4), Net(a + 4, 2)

    def forward(self, z, y=None):
        return self.net(self.join(z, y))


def normal(n):
    return torch.randn(n, 4)


MOVER = partial(Adam, lr=1e-2)


def acgan(loss=losses.logistic, latent=normal, optimizer=MOVER, **options: Any) -> Method:
    return AuxiliaryClassifier(TwoPlayer(Drawer(4), Branched(Trunk(), 3), latent=latent, loss=loss, optimizer=optimizer), **options)


def infogan(latent=None, optimizer=MOVER, **options: Any) -> Method:
    coded = latent or Coded(4, "cpu", 3, 2)
    game = TwoPlayer(Net(9, 2), Branched(Trunk(), 7, 16), latent=coded, loss=losses.logistic, optimizer=optimizer)
    return InfoGAN(game, coded, **options)


def semi_supervised(latent=normal, optimizer=MOVER) -> Method:
    return SemiSupervised(Net(4, 2), Encoder(Trunk(), 3), latent=latent, optimizer=optimizer)


def bigan(latent=normal, optimizer=MOVER) -> Method:
    return BiGAN(Net(4, 2), Encoder(Trunk(), 4), Joint(Trunk(), 4, 16), latent=latent, loss=losses.logistic, optimizer=optimizer)


def autoencoding(kind, latent=normal, optimizer=MOVER, **options: Any) -> Method:
    power = {EBGAN: 2, BEGAN: 1}[kind]
    return kind(Net(4, 2), AutoEncoder(Encoder(Trunk(), 4), Net(4, 2), power), latent=latent, optimizer=optimizer, **options)


GAMES: dict[str, Callable[..., Method]] = {
    "acgan": acgan,
    "infogan": infogan,
    "semi-supervised": semi_supervised,
    "bigan": bigan,
    "ebgan": partial(autoencoding, EBGAN),
    "began": partial(autoencoding, BEGAN),
}

X = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
KIND = torch.arange(8) % 3
BATCHES = {name: {"x": X} for name in GAMES} | {"acgan": {"x": X, "y": KIND}, "semi-supervised": {"x": X, "known": X.flip(0), "kind": KIND}}
STEADY = partial(SGD, lr=0.1)
