"""Critics of image tasks, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from . import patch as _patch
from . import unet_critic as _unet


class Critic(NamedTuple):
    """Two networks of a kind: one(inputs, width), called as `Patch` is, and scales(inputs, width, scales=..., spectral=...) as `Scales`."""

    one: Callable[..., nn.Module]
    scales: Callable[..., nn.Module]


patch = Critic(partial(_patch.Patch, layers=2), _patch.Scales)
"""Scores overlapping parts of an image: PatchGAN."""
unet = Critic(_unet.UNet, _unet.UNets)
"""Scores every pixel, by what is around it and in the whole image: slower and larger."""
