"""StyleGAN2 networks (Karras et al., 2020, arXiv:1912.04958), for any size, in plain PyTorch.

Own code from the published facts: the latent is mapped to a style that scales the channels of every convolution (fig. 2d), the
generator adds up RGB images of all resolutions, the discriminator is residual (fig. 7). The image is linear in the last
layer, so it lies in [-1, 1] only roughly.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, one_hot

from ..conditioning import WAYS_IN_DISCRIMINATORS, JoinMap, _labels, check_ways
from .equalised import BatchSpread, EqualConv, EqualLinear, Noise, activate, double, smooth, unit, widths
from .grid import grid


class Mapping(nn.Module):
    """z (n, z), y (n,) -> style (n, w); the class alone where z is None.

    Layers learn a hundred times slower than others (StyleGAN, arXiv:1812.04948, app. C).
    """

    def __init__(self, z: int, style: int, classes: int = 0, depth: int = 8) -> None:
        super().__init__()
        self.classes = classes
        self.embed = EqualLinear(classes, style) if classes else None
        sizes = [z + (style if classes else 0), *[style] * depth]
        self.layers = nn.ModuleList(EqualLinear(a, b, rate=0.01) for a, b in zip(sizes, sizes[1:], strict=False))

    def forward(self, z: Tensor | None, y: Tensor | None = None) -> Tensor:
        parts = [] if z is None else [unit(z)]
        if self.embed is not None:
            parts.append(unit(self.embed(one_hot(_labels(y), self.classes).float())))
        h = torch.cat(parts, 1)
        for layer in self.layers:
            h = activate(layer(h))
        return h


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by a style: (n, a, h, w), (n, w) -> (n, b, h, w), twice the size with `up`.

    With `demodulate` each example's weights are brought back to length 1 (StyleGAN2, eq. 1-3). Input and output are scaled in
    place of the weights, which is the same and lets all examples share one convolution.
    """

    def __init__(self, a: int, b: int, size: int, style: int, *, up: bool = False, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.affine = EqualLinear(style, a, start=1.0)
        self.gain, self.up, self.demodulate = 1 / math.sqrt(a * size * size), up, demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, weight = self.affine(style), self.weight * self.gain
        h = x * scale[:, :, None, None]
        if self.up:
            h = smooth(conv_transpose2d(h, weight.transpose(0, 1), stride=2), 1, gain=4)
        else:
            h = conv2d(h, weight, padding=weight.shape[2] // 2)
        return h * self._lengths(scale, weight)[:, :, None, None].to(h.dtype) if self.demodulate else h

    def _lengths(self, scale: Tensor, weight: Tensor) -> Tensor:
        """One over the length of every output channel's weights, in fp32: (n, a), (b, a, k, k) -> (n, b)."""
        with torch.autocast(scale.device.type, enabled=False):
            return (scale.float().square() @ weight.float().square().sum((2, 3)).T + 1e-8).rsqrt()


class Layer(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU: (n, a, h, w), (n, w) -> (n, b, height, width)."""

    def __init__(self, a: int, b: int, style: int, height: int, width: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(a, b, 3, style, up=up)
        self.noise = Noise(height, width)
        self.bias = nn.Parameter(torch.zeros(b))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return activate(self.noise(self.conv(x, style)) + self.bias.view(1, -1, 1, 1))


class ToImage(nn.Module):
    """One colour channel for each of the image's: (n, a, h, w), (n, w) -> (n, c, h, w)."""

    def __init__(self, a: int, colours: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(a, colours, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(colours))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.conv(x, style) + self.bias.view(1, -1, 1, 1)


class Synthesis(nn.Module):
    """Styles (n, layers, w) -> image (n, c, h, w), about [-1, 1]."""

    def __init__(self, shape: tuple[int, int, int], style: int, width: int, most: int) -> None:
        super().__init__()
        self.grid, self.size = grid(*shape[1:]), shape[1:]
        sizes = widths(width, self.grid.doublings, most)[::-1]
        height, across = self.grid.height, self.grid.width
        self.start = nn.Parameter(torch.randn(sizes[0], height, across))
        self.first = Layer(sizes[0], sizes[0], style, height, across)
        places = [(a, b, height << i, across << i) for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False), 1)]
        self.ups = nn.ModuleList(Layer(a, b, style, h, w, up=True) for a, b, h, w in places)
        self.convs = nn.ModuleList(Layer(b, b, style, h, w) for _, b, h, w in places)
        self.colours = nn.ModuleList(ToImage(b, shape[0], style) for b in sizes)
        self.layers = 2 * len(sizes)

    def forward(self, styles: Tensor) -> Tensor:
        each = iter(styles.unbind(1))
        h = self.first(self.start.expand(len(styles), -1, -1, -1), next(each))
        style = next(each)
        x = self.colours[0](h, style)
        for up, conv, colour in zip(self.ups, self.convs, self.colours[1:], strict=True):
            h = conv(up(h, style), next(each))  # the style that coloured the last image also starts the next resolution
            style = next(each)
            x = double(x) + colour(h, style)
        return self.grid.crop(x, *self.size)


class Generator(nn.Module):
    """z (n, z), y (n,) -> image (n, c, h, w), about [-1, 1].

    `width` channels at full resolution, doubled at every halving up to `most`; style: length of w, 0: as z; depth: of the mapping.
    mixing: share of the training images whose finer layers follow a second latent (StyleGAN, arXiv:1812.04948, sec. 3.1).
    32 px, 10 classes, z 512, width 512, depth 2: 20,215,315 parameters, as StyleGAN2-ADA's for CIFAR-10.
    """

    mean: Tensor
    """Running mean of the styles (w,), which truncation draws towards."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        z: int,
        width: int = 64,
        classes: int = 0,
        condition: str = "concat",
        *,
        style: int = 0,
        depth: int = 8,
        most: int = 512,
        mixing: float = 0.0,
    ) -> None:
        super().__init__()
        check_ways(condition, ("concat",), "stylegan2.Generator")
        self.mapping = Mapping(z, style or z, classes, depth)
        self.synthesis = Synthesis(shape, style or z, width, most)
        self.mixing = mixing
        self.register_buffer("mean", torch.zeros(style or z))

    def forward(self, z: Tensor, y: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """truncation: how far a style may lie from the mean style, 1: as it is, 0: all are the mean (arXiv:1812.04948, app. B)."""
        styles = self.styles(z, y)
        return cast(Tensor, self.synthesis(styles if truncation == 1 else self.mean.lerp(styles, truncation)))

    def styles(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """One style for every layer, (n, layers, w); in training partly mixed from two latents."""
        layers = self.synthesis.layers
        style = self.mapping(z, y)
        styles = style[:, None].expand(-1, layers, -1)
        if not self.training:
            return styles
        with torch.no_grad():
            self.mean.lerp_(style.float().mean(0), 0.005)
        if not self.mixing:
            return styles
        other = self.mapping(torch.randn_like(z), y)[:, None]
        cut = torch.randint(1, layers, (len(z), 1), device=z.device)
        cut[torch.rand(len(z), device=z.device) >= self.mixing] = layers
        return torch.where((torch.arange(layers, device=z.device) < cut)[:, :, None], styles, other)


class DownBlock(nn.Module):
    """Two convolutions, the second halves the size: (n, a, h, w) -> (n, b, h / 2, w / 2); beside them, if residual, a filtered skip."""

    def __init__(self, a: int, b: int, residual: bool) -> None:
        super().__init__()
        self.conv, self.down = EqualConv(a, a, 3), EqualConv(a, b, 3, down=True)
        self.skip = EqualConv(a, b, 1, down=True, bias=False) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        h = activate(self.down(activate(self.conv(x))))
        return h if self.skip is None else (h + self.skip(x)) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Image (n, c, h, w), y (n,) -> logits (n,) in fp32.

    With classes and `projection` the logit is the product of the features and a mapped embedding of the class (arXiv:2006.06676).
    32 px, 10 classes, width 512, not residual: 23,089,664 parameters, as StyleGAN2-ADA's for CIFAR-10.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int = 64,
        classes: int = 0,
        condition: str = "projection",
        *,
        residual: bool = True,
        depth: int = 8,
        most: int = 512,
        group: int = 4,
    ) -> None:
        super().__init__()
        check_ways(condition, WAYS_IN_DISCRIMINATORS, "stylegan2.Discriminator")
        self.grid = grid(*shape[1:])
        self.join = JoinMap(classes if condition == "concat" else 0, *shape[1:])
        sizes = widths(width, self.grid.doublings, most)
        last, judged = sizes[-1], classes if condition == "projection" else 0
        self.stem = EqualConv(shape[0] + self.join.extra, sizes[0], 1)
        self.blocks = nn.Sequential(*(DownBlock(a, b, residual) for a, b in zip(sizes, sizes[1:], strict=False)))
        self.spread = BatchSpread(group)
        self.conv = EqualConv(last + 1, last, 3)
        self.dense = EqualLinear(last * self.grid.height * self.grid.width, last)
        self.score = EqualLinear(last, last if judged else 1)
        self.mapping = Mapping(0, last, judged, depth) if judged else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.blocks(activate(self.stem(self.grid.pad(self.join(x, y)))))
        h = activate(self.conv(self.spread(h)))
        h = activate(self.dense(h.permute(0, 2, 3, 1).flatten(1)))  # see dcgan.Discriminator
        with torch.autocast(h.device.type, enabled=False):
            scores = self.score(h.float())
            if self.mapping is None:
                return scores.squeeze(1)
            return (scores * self.mapping(None, y)).sum(1) / math.sqrt(scores.shape[1])
