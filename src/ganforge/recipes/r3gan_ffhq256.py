"""R3GAN: 96, 192, 384 and from 32 px down 768 channels, as published for FFHQ at 256 px (Huang et al., 2024, arXiv:2501.05441)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..core.run import Run
from .r3gan import R3GAN


@dataclass(frozen=True, kw_only=True)
class R3GANFFHQ256(R3GAN):
    """For a large GPU. Augmentation rises as in the paper, but to the same end for all sets; see `--augment`."""

    pool: ClassVar[bool] = True
    augment: str = "ramp"
    penalty_weight: float = 150.0
    run: Run = field(default_factory=lambda: Run(batch=256))
