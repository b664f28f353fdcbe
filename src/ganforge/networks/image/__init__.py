"""Pairs of image networks with one signature, so that any recipe takes any pair.

generator(shape, z, width, classes, condition) is called as g(z, y) -> (n, c, h, w) in [-1, 1];
discriminator(shape, width, classes, condition) is called as d(x, y) -> logits (n,). Your own pair: see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from . import biggan as _biggan
from . import dcgan as _dcgan
from . import elu as _elu
from . import fastgan as _fastgan
from . import mlp as _mlp
from . import noisy as _noisy
from . import progan as _progan
from . import r3 as _r3
from . import sngan as _sngan
from . import stylegan2 as _stylegan2


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
sagan = Networks(partial(_sngan.Generator, attention=32 * 32, spectral=True), partial(_sngan.Discriminator, attention=32 * 32))
"""SNGAN's with self-attention, and spectral norm in the generator too."""
biggan = Networks(_biggan.Generator, _biggan.Discriminator)
"""Residual blocks steered by class and latent, self-attention, spectral norm, orthogonal start."""
elu = Networks(_elu.Generator, _elu.Discriminator)
"""3x3 convolutions and ELU without norms, after BEGAN."""
progan = Networks(_progan.Generator, _progan.Discriminator)
"""Equalised learning rate and pixel norm; can be grown."""
stylegan2 = Networks(_stylegan2.Generator, _stylegan2.Discriminator)
"""A latent mapped to styles, which scale the channels of every convolution; residual discriminator."""
fastgan = Networks(_fastgan.Generator, _fastgan.Discriminator)
"""Skip-layer excitation, spectral norm; the discriminator scores parts and can redraw what it sees."""
dcgan_plain = Networks(_dcgan.Generator, partial(_dcgan.Discriminator, norm=_dcgan.plain))
"""No norm in the discriminator: for penalties and weight clipping, which batch norm would blur over examples."""
dcgan_spread = Networks(_dcgan.Generator, partial(_dcgan.Discriminator, spread=4))
"""DCGAN's, and the discriminator sees how much the images of a batch differ: against mode collapse."""
dcgan_nearness = Networks(_dcgan.Generator, partial(_dcgan.Discriminator, nearness=16))
"""DCGAN's, and the discriminator sees by learnt features how near the images of a batch are: against mode collapse."""
dcgan_noisy = Networks(_dcgan.Generator, _noisy.Discriminator)
"""Weight norm and noise on every layer of the discriminator: for one that shall name classes from few labels."""
dcgan_layer_norm = Networks(_dcgan.Generator, partial(_dcgan.Discriminator, norm=_dcgan.layer_norm))
"""Layer norm in the discriminator, as in WGAN-GP."""
