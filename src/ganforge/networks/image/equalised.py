"""What ProGAN and the StyleGANs are made of: equalised learning rate, filtered resampling, noise, batch statistics.

Weights are N(0, 1) and scaled at every use, by 1 / sqrt(fan in) times what an activation takes away, so that an optimiser which
moves every number alike moves every layer alike (Karras et al., 2018, arXiv:1710.10196, sec. 4.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, linear


class EqualLinear(nn.Module):
    """(n, a) -> (n, b). rate: a factor on how fast it learns; start: of the bias. `forward` acts in the precision it is called in."""

    def __init__(self, a: int, b: int, *, rate: float = 1.0, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a) / rate)
        self.bias = nn.Parameter(torch.full((b,), start))
        self.gain, self.rate = rate / math.sqrt(a), rate

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.gain, self.bias * self.rate)


class EqualConv(nn.Module):
    """(n, a, h, w) -> (n, b, h, w); with `down`, (n, b, h / 2, w / 2), filtered before every second pixel is left out."""

    def __init__(self, a: int, b: int, size: int, *, down: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.bias = nn.Parameter(torch.zeros(b)) if bias else None
        self.gain, self.size, self.down = 1 / math.sqrt(a * size * size), size, down

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.gain
        if not self.down:
            return conv2d(x, weight, self.bias, padding=self.size // 2)
        if self.size == 1:  # only the pixels that stay are filtered
            return conv2d(smooth(x, 1, stride=2), weight, self.bias)
        return conv2d(smooth(x, 2), weight, self.bias, stride=2, padding=self.size // 2 - 1)


class Noise(nn.Module):
    """Add noise of one learnt strength, the same to all channels: (n, c, h, w) -> (n, c, h, w) (StyleGAN, arXiv:1812.04948, sec. 2).

    Fresh noise in training; a fixed field else, so that an image follows from its latent alone.
    """

    field: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("field", torch.randn(height, width))

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device) if self.training else self.field
        return x + (noise * self.strength).to(x.dtype)


class BatchSpread(nn.Module):
    """Append a map of how much the examples of a group differ: (n, c, h, w) -> (n, c + 1, h, w).

    Standard deviation over the group, mean over channels and pixels (minibatch standard deviation, ProGAN, arXiv:1710.10196,
    sec. 3). Groups are neighbours in the batch, so a batch that is cut between groups gives the same numbers.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        size = _whole_groups(n, self.group)
        groups = x.float().view(n // size, size, *x.shape[1:])
        variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)
        spread = (variance + 1e-8).sqrt().flatten(1).mean(1)
        spread = spread.repeat_interleave(size).view(n, 1, 1, 1).expand(n, 1, *x.shape[2:])
        return torch.cat([x, spread.to(x.dtype)], 1)


class BatchNearness(nn.Module):
    """Append how near each example's learnt features are to those of its group: (n, f) -> (n, f + kernels).

    c_b(i) = sum over the others j of exp(-|M_b(i) - M_b(j)|_1), M(i) = T f(i) of `kernels` rows of `size` numbers (minibatch
    discrimination, Salimans et al., 2016, arXiv:1606.03498, sec. 3.2; the paper's j = i would add 1 to all). Groups of neighbours, as in
    `BatchSpread`, where the paper takes the whole batch.
    """

    def __init__(self, features: int, group: int = 16, kernels: int = 50, size: int = 5) -> None:
        super().__init__()
        self.group, self.kernels = group, kernels
        self.tensor = nn.Linear(features, kernels * size, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        n = len(h)
        size = _whole_groups(n, self.group)
        with torch.autocast(h.device.type, enabled=False):
            rows = self.tensor(h.float()).view(n // size, size, self.kernels, -1)
            apart = (rows[:, :, None] - rows[:, None]).abs().sum(-1)  # groups, i, j, kernels
            near = (-apart).exp().sum(2) - 1
        return torch.cat([h, near.view(n, self.kernels).to(h.dtype)], 1)


def _whole_groups(n: int, most: int) -> int:
    """The largest size, at most `most`, of groups that n examples fall into."""
    return next(size for size in range(min(most, n), 0, -1) if n % size == 0)


def smooth(x: Tensor, pad: int, *, gain: float = 1.0, stride: int = 1) -> Tensor:
    """Filter with the binomial [1, 3, 3, 1] / 8 along both axes: (n, c, h, w) -> (n, c, h + 2 pad - 3, w + 2 pad - 3)."""
    taps = x.new_full((4,), 3 / 8)  # a list of numbers would be copied to the device, and waited for, at every call
    taps[::3].fill_(1 / 8)
    kernel = (taps[:, None] * taps * gain).expand(x.shape[1], 1, 4, 4)
    return conv2d(x, kernel, padding=pad, stride=stride, groups=x.shape[1])


def double(x: Tensor) -> Tensor:
    """Twice the size, by the same filter with the border repeated, which is bilinear: (n, c, h, w) -> (n, c, 2h, 2w)."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times sqrt(2) to keep the variance."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


def unit(x: Tensor) -> Tensor:
    """Divide each vector of channels by its root mean square: (n, c, ...) -> (n, c, ...) (pixel norm, arXiv:1710.10196, sec. 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def widths(width: int, doublings: int, most: int) -> list[int]:
    """Channels from the image down to the smallest map: `width`, doubled at every halving up to `most`."""
    return [min(width << i, max(width, most)) for i in range(doublings + 1)]
