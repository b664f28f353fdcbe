"""Where generators start from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normal:
    """A sampler of z ~ N(0, I): n -> (n, size)."""

    size: int
    device: str = "cpu"

    def __call__(self, n: int) -> Tensor:
        return torch.randn(n, self.size, device=self.device)

    def truncated(self, z: Tensor, most: float) -> Tensor:
        """z (n, ...) whose noise beyond +-most is drawn anew from within: less variety, fewer failures; all else stays as it is.

        The truncation trick (BigGAN, Brock et al., 2019, arXiv:1809.11096, sec. 3.1): noise ~ N(0, 1) given that |noise| <= most.
        """
        noise = z[:, : self.size]
        within = math.erf(most / math.sqrt(2)) * (2 * torch.rand_like(noise) - 1)  # the inverse of the distribution, at uniform numbers
        again = (math.sqrt(2) * torch.erfinv(within)).clamp(-most, most)
        return torch.cat([torch.where(noise.abs() > most, again, noise), z[:, self.size :]], 1)
