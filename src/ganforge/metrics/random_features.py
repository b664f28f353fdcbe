"""Features of a small network of fixed random convolutions: always at hand, and good enough to order the moments of one run.

Numbers on them are named KID-random, MIND-random and so on; never quote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu

SEED = 2015
CHANNELS = (16, 32, 64, 128)
SIDE = 32


class RandomFeatures:
    """uint8 images (n, c, h, w) -> (n, 480) float32: per channel of four random levels the mean and the spread over all places.

    Images are brought to 32x32, grey to three channels. Weights are orthogonal in the rows and follow from SEED alone.
    """

    name, is_inception = "random", False
    dim = 2 * sum(CHANNELS)
    facts: Mapping[str, str] = {"weights": f"seed {SEED}", "resize": f"area{SIDE}"}

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        draw = torch.Generator().manual_seed(SEED)
        self.weights = []
        for a, b in pairwise((3, *CHANNELS)):
            matrix = torch.linalg.qr(torch.randn(max(b, 9 * a), min(b, 9 * a), generator=draw)).Q
            matrix = (matrix if b > 9 * a else matrix.T) * (2 * 9 * a / max(b, 9 * a)) ** 0.5
            self.weights.append(matrix.reshape(b, a, 3, 3).to(device))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        x = images[:, :3].to(self.device, non_blocking=True).float() / 127.5 - 1
        x = x if x.shape[1] == 3 else x[:, :1].repeat(1, 3, 1, 1)
        if x.shape[2] * x.shape[3] > SIDE * SIDE:
            x = interpolate(x, (SIDE, SIDE), mode="area")
        elif tuple(x.shape[2:]) != (SIDE, SIDE):
            x = interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
        found = []
        for level, weight in enumerate(self.weights):
            x = leaky_relu(conv2d(x, weight, padding=1), 0.1)
            found += [x.mean((2, 3)), x.std((2, 3))]
            x = avg_pool2d(x, 2) if level + 1 < len(self.weights) else x
        return torch.cat(found, 1)
