"""auto: relativistic pairing with cheap R1 and R2 on norm-free residual networks, sized to your data and your machine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import penalties
from ..core.recipe import Named
from ..data.spec import DataSpec
from .r3gan import R3GAN


@dataclass(frozen=True, kw_only=True)
class Auto(R3GAN):
    """The default. R3GAN's game (arXiv:2501.05441), cheap penalties; 0 (for `group`, -1) means chosen at the start, and said."""

    width: int = 0
    blocks: int = 1
    expansion: int = 1
    group: int = -1
    patch: int = 0
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.r1_finite_difference, penalties.r2_finite_difference)
    penalty_weight: float = 0.0
    penalty_every: int = 4
    penalty_share: float = 0.25
    lr: float = 0.0
    lr_end: float = 0.1
    beta2: float = 0.99
    beta2_end: float = 0.0

    def plan(self, spec: DataSpec, measure: Callable[[Auto], float]) -> tuple[Auto, list[str]]:
        """Fill in what is 0, from the data and from `measure`, which gives a candidate's speed in examples per second."""
        height, width = spec.shape[1:]
        side, on_cpu, notes = max(height, width), spec.device == "cpu", []
        chosen = self
        if self.group < 0:
            chosen = dataclasses.replace(chosen, group=0 if on_cpu else 16)
        if not self.patch:
            chosen = dataclasses.replace(chosen, patch=2 if on_cpu and min(height, width) >= 16 else 1)
        if not self.penalty_weight:
            chosen = dataclasses.replace(chosen, penalty_weight=gamma(side, spec.shape[0]))
            notes.append(f"penalty weight {chosen.penalty_weight:.3g}, usual for {side} px with {spec.shape[0]} channels")
        if not self.width:
            chosen, why = chosen._sized(measure)
            notes.append(why)
        if not self.lr:
            chosen = dataclasses.replace(chosen, lr=round(1e-3 * min(1.0, 48 / chosen.width), 6))
            notes.append(f"learning rate {chosen.lr:g}, lower for wider networks, falling to a tenth of it")
        return chosen, notes

    def _sized(self, measure: Callable[[Auto], float]) -> tuple[Auto, str]:
        """The widest networks that still see enough images in the budget: a wide network seen too briefly stays blurred."""
        best = dataclasses.replace(self, width=WIDTHS[0])
        for width in WIDTHS:
            candidate = dataclasses.replace(self, width=width, lr=self.lr or 1e-3)
            sees = self.run.examples or measure(candidate) * 60 * self.run.minutes
            if sees < IMAGES_PER_CHANNEL * width:
                break
            best = dataclasses.replace(self, width=width)
        return best, f"width {best.width}: the widest networks that still see enough images in the time given"


WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
IMAGES_PER_CHANNEL = 2500
"""Images that a network must see for each of its channels; found on 28 px clothes (docs/LOG.md)."""


def gamma(side: int, channels: int) -> float:
    """The penalty weight at the start: log-linear between 0.15 at 32 px, 2 at 64 px, 15 at 128 px, 100 at 256 px; doubled for grey."""
    points = ((32, 0.15), (64, 2.0), (128, 15.0), (256, 100.0))
    (low, a), (high, b) = next(((p, q) for p, q in zip(points, points[1:], strict=False) if side < q[0]), points[-2:])
    share = max(0.0, math.log(side / low) / math.log(high / low))
    return round(a * (b / a) ** share * (2 if channels == 1 else 1), 3)
