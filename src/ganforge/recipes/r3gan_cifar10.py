"""R3GAN: 768 channels at every resolution, as published for CIFAR-10 (Huang et al., 2024, arXiv:2501.05441)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..core.run import Run
from .r3gan import R3GAN


@dataclass(frozen=True, kw_only=True)
class R3GANCIFAR10(R3GAN):
    """For a large GPU. Augmentation rises as in the paper, but to the same end for all sets; see `--augment`."""

    cap: ClassVar[int] = 1
    pool: ClassVar[bool] = True
    augment: str = "ramp"
    width: int = 768
    run: Run = field(default_factory=lambda: Run(batch=512))
