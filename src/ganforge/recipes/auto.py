"""auto: relativistic pairing with cheap R1 and R2 on norm-free residual networks, sized to your data and your machine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated

from .. import penalties
from ..core.machine import OVERHEAD
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
    penalty: tuple[Annotated[FunctionType, Named(penalties)], ...] = (penalties.r1_finite_difference, penalties.r2_finite_difference)
    penalty_weight: float = 0.0
    penalty_end: float = 0.5
    penalty_every: int = 4
    penalty_share: float = 0.5
    lr: float = 0.0
    lr_end: float = 0.1
    beta2: float = 0.99
    beta2_end: float = 0.0

    def plan(self, spec: DataSpec, measure: Callable[[Auto], float]) -> tuple[Auto, list[str]]:
        """Fill in what is 0, from the data and from `measure`, which gives a candidate's speed in examples per second."""
        chosen, notes = super().plan(spec, measure)
        side = max(spec.shape[1:])
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
        best, why = WIDTHS[0], "the smallest there are"
        for width in WIDTHS:
            candidate = dataclasses.replace(self, width=width, lr=self.lr or 1e-3)
            sees = self.run.examples or measure(candidate) * 60 * self.run.minutes * OVERHEAD
            if sees < IMAGES_PER_CHANNEL * width:
                why += f"; {width} would see {counted(sees)} of the {counted(IMAGES_PER_CHANNEL * width)} that it needs"
                break
            best, why = width, f"sees {counted(sees)} images in the budget"
        return dataclasses.replace(self, width=best), f"width {best}: {why}"


WIDTHS = (16, 32, 48, 64, 96, 128, 192, 256)
IMAGES_PER_CHANNEL = 1500
"""Images that a network must see for each of its channels: a rule of thumb from 28 px clothes."""


def counted(images: float) -> str:
    """'640', '24 k'."""
    return f"{images:,.0f}" if images < 10_000 else f"{images / 1000:,.0f} k"


def gamma(side: int, channels: int) -> float:
    """The penalty weight at the start: log-linear between 0.15 at 32 px, 2 at 64 px, 15 at 128 px, 100 at 256 px; doubled for grey."""
    points = ((32, 0.15), (64, 2.0), (128, 15.0), (256, 100.0))
    (low, a), (high, b) = next(((p, q) for p, q in zip(points, points[1:], strict=False) if side < q[0]), points[-2:])
    share = max(0.0, math.log(side / low) / math.log(high / low))
    return round(a * (b / a) ** share * (2 if channels == 1 else 1), 3)
