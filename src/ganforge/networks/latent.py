"""Where generators start from."""

from __future__ import annotations

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
