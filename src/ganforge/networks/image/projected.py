"""Projected discriminator: small heads on mixed features of a fixed, pretrained network (Sauer et al., 2021, arXiv:2111.01007)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from ...constraints import spectral_norm
from ..conditioning import check_ways

MAPS = 4
"""Scales of features, each half as wide and high as the one before."""


class Fixed:
    """A pretrained network that is loaded when it is first asked, and belongs to no checkpoint: images (n, 3, h, w) -> MAPS maps.

    Not a module: its weights are the same in every copy of a model, and drawing with a generator needs none of them.
    """

    def __init__(self, load: Callable[[torch.device], Callable[[Tensor], Sequence[Tensor]]]) -> None:
        self.load, self.loaded = load, dict[torch.device, Callable[[Tensor], Sequence[Tensor]]]()

    def __call__(self, x: Tensor) -> Sequence[Tensor]:
        if x.device not in self.loaded:
            self.loaded[x.device] = self.load(x.device)
        return self.loaded[x.device](x)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fixed:
        return self


class Head(nn.Module):
    """Patch logits of one scale: (n, c, size, size), (n,) -> (n, 16). Halved to 4 to 7 pixels, then scored on 4 x 4 overlapping patches.

    With classes the features of a patch are multiplied by an embedding of the class (projection, arXiv:1802.05637).
    """

    def __init__(self, channels: int, width: int, size: int, classes: int) -> None:
        super().__init__()
        halvings = size.bit_length() - 3
        widths = [channels] + [width] * max(1, halvings)
        strides = [2] * halvings or [1]
        steps = zip(widths, widths[1:], strides, strict=False)
        self.body = nn.Sequential(*(_Down(a, b, stride) for a, b, stride in steps))
        self.score = nn.Conv2d(width, width if classes else 1, (size >> halvings) - 3)
        self.embed = nn.Embedding(classes, width) if classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.body(x)
        with torch.autocast(h.device.type, enabled=False):
            h = self.score(h.float())
        if self.embed is not None:
            if y is None:
                raise ValueError("this network is class-conditional: pass y, (n,) integers.")
            h = (h * self.embed(y)[:, :, None, None]).sum(1, keepdim=True) / h.shape[1] ** 0.5
        return h.flatten(1)


class _Down(nn.Module):
    """Convolution, batch norm, leaky ReLU: (n, a, s, s) -> (n, b, s / stride, s / stride)."""

    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(a, b, 4, 2, 1) if stride == 2 else nn.Conv2d(a, b, 3, padding=1)
        self.norm = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(self.norm(self.conv(x)), 0.2)


class Discriminator(nn.Module):
    """Image (n, c, h, w) in [-1, 1], c 1 or 3, y (n,) -> patch logits (n, 1, MAPS, 16): a row for each scale.

    The image is brought to side x side pixels; `features` gives maps of `channels`, at 1/4 to 1/32 of that. Fixed random 1x1
    convolutions mix the channels of each and then the scales, from the smallest up (sec. 3.2); neither is ever trained.
    Raises ValueError for other than 1 or 3 channels, and for a side that is no multiple of 32 from 64 on.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int = 64,
        classes: int = 0,
        condition: str = "projection",
        *,
        features: Fixed,
        channels: Sequence[int],
        side: int = 224,
    ) -> None:
        super().__init__()
        check_ways(condition, ("projection",), "projected.Discriminator")
        if shape[0] not in (1, 3):
            raise ValueError(f"a projected discriminator looks at grey or colour images, one at a time; got {shape[0]} channels.")
        if side < 64 or side % 32:
            raise ValueError(f"--side must be a multiple of 32, at least 64; got {side}.")
        self.features, self.side = features, side
        mixed = [width * 2**i for i in range(MAPS)]
        self.mix = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, mixed, strict=True))
        self.fuse = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip([width, *mixed], mixed, strict=False))
        for conv in [*self.mix, *self.fuse]:
            nn.init.kaiming_normal_(conv.weight)
            conv.requires_grad_(False)
        self.heads = nn.ModuleList(Head(c, width, side // 2 >> i, classes) for i, c in enumerate([width, *mixed][:MAPS]))
        for head in self.heads:
            spectral_norm(head)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = interpolate(x.expand(-1, 3, -1, -1), (self.side, self.side), mode="bilinear", align_corners=False)
        mixed = [mix(m) for mix, m in zip(self.mix, self.features(x), strict=True)]
        fused: list[Tensor] = []
        for m, fuse in zip(reversed(mixed), reversed(self.fuse), strict=True):
            above = m if not fused else m + fused[0]
            fused.insert(0, fuse(interpolate(above, scale_factor=2, mode="bilinear", align_corners=True)))
        return torch.stack([head(m, y) for head, m in zip(self.heads, fused, strict=True)], 1)[:, None]
