"""Pairs of image networks with one signature, so that any recipe takes any pair.

generator(shape, z, width, classes, condition) is called as g(z, y) -> (n, c, h, w) in [-1, 1];
discriminator(shape, width, classes, condition) is called as d(x, y) -> logits (n,). Your own pair: see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from . import dcgan as _dcgan
from . import mlp as _mlp
from . import r3 as _r3
from . import sngan as _sngan


class Networks(NamedTuple):
    """A generator and a discriminator that fit together."""

    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]


mlp = Networks(_mlp.Generator, _mlp.Discriminator)
"""Fully connected, three hidden layers."""
dcgan = Networks(_dcgan.Generator, _dcgan.Discriminator)
"""Strided 4x4 convolutions and batch norm."""
r3 = Networks(_r3.Generator, _r3.Discriminator)
"""Residual bottleneck blocks without norms, after R3GAN."""
sngan = Networks(_sngan.Generator, _sngan.Discriminator)
"""Residual blocks, spectral norm in the discriminator."""
dcgan_plain = Networks(_dcgan.Generator, partial(_dcgan.Discriminator, norm=_dcgan.plain))
"""No norm in the discriminator: for penalties and weight clipping, which batch norm would blur over examples."""
dcgan_layer_norm = Networks(_dcgan.Generator, partial(_dcgan.Discriminator, norm=_dcgan.layer_norm))
"""Layer norm in the discriminator, as in WGAN-GP."""
