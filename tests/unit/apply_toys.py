"""Tiny networks and models for the tests of applying, and ways to look into files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.core import recipe as recipes_json
from ganforge.data.photos import Photos
from ganforge.data.spec import DataSpec
from ganforge.methods import tasks
from ganforge.recipes.restore import Restore
from ganforge.runs import model as models
from ganforge.tasks.apply.applier import Applier


class Same(nn.Module):
    """x -> x."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Sees(nn.Module):
    """Random 7 x 7 filters: every pixel depends on those up to 3 away, and at the border on zeros."""

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * scale**2, 7, padding=3)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.conv(x)).tanh()


class Whole(nn.Module):
    """x minus its mean over the whole picture: not exact."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True)


class Short(nn.Module):
    """A network that runs out of memory on more than so many pixels, in torch's words."""

    def __init__(self, most: int, inner: nn.Module) -> None:
        super().__init__()
        self.most, self.inner, self.sizes = most, inner, []

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] > self.most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        self.sizes.append(tuple(x.shape[2:]))
        return self.inner(x)


def same(**options) -> Applier:
    return Applier(Same(), **options)


def sees(scale: int = 1, **options) -> Applier:
    torch.manual_seed(1)
    return Applier(Sees(scale), scale, **{"reach": 3, **options})


def noise(seed: int, height: int, width: int, channels: int = 3, dtype=np.uint8) -> np.ndarray:
    """(h, w, c)."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def rough(network: nn.Module, seed: int = 0) -> nn.Module:
    """With random weights where training would start from zeros."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    return network


def saved(folder: Path, task: tasks.Task = tasks.denoise, seed: int = 0, alike: bool = False, **options) -> Path:
    """A model folder of a tiny untrained restoration, whose two networks differ, unless they are to be alike."""
    recipe = Restore(data=Photos(path="photos"), task=task, **{"width": 4, "blocks": 1, "d_width": 8, **options})
    spec = DataSpec((3, 64, 64), count=10)
    exports = recipe.method(spec).exports
    for number, network in enumerate(exports.values()):
        rough(network, 2 * seed + number * (not alike))
    plain = {key: value for key, value in dataclasses.asdict(spec).items() if key != "device"}
    content = {"recipe": "restore", "fields": recipes_json.describe(recipe), "spec": plain}
    folder.parent.mkdir(parents=True, exist_ok=True)
    models.write(folder, content, exports, "a card\n", {"seen": 7})
    return folder
