"""Parts of a loss that translation and restoration share, each with its weight (Johnson et al., 2016, arXiv:1603.08155, eq. 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from ..core.errors import UsageError, nearest
from ..distances import WINDOW, Terms, colour, ms_ssim, tv
from ..metrics import likeness
from .base import check_limits

NEEDS = {"structure_weight": WINDOW, "perceptual_weight": likeness.LEAST, "style_weight": likeness.LEAST}
"""Parts that look at more than a few pixels, and at how many each way."""


def weights(recipe: Any) -> dict[str, tuple[float, float]]:
    """Least and most of all the weights of a recipe."""
    return {known.name: (0, math.inf) for known in fields(recipe) if known.name.endswith("_weight")}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Those that need no right answer."""

    colour_weight: float = 0.0
    """Weight of the difference of mean colours over 8 x 8 pixels, against casts; where there is no right answer, to the input's colours,
    against inverted ones."""
    tv_weight: float = 0.0
    """Weight of the result's total variation, how much neighbouring pixels differ, against noise and stripes."""

    def terms(self) -> Terms:
        """The parts as methods take them."""
        return {"colour": (colour, self.colour_weight), "variation": (lambda made, _: tv(made), self.tv_weight)}


@dataclass(frozen=True, kw_only=True)
class PairParts(Parts):
    """Those that compare the result with the right answer, too."""

    structure_weight: float = 0.0
    """Weight of 1 - MS-SSIM."""
    perceptual_weight: float = 0.0
    """Weight of the difference to the eyes of a network of photographs, which then is no judge of the result any more."""
    style_weight: float = 0.0
    """Weight of the difference of what these eyes see together, wherever it is (Gram matrices): for texture."""
    eyes: str = likeness.PHOTOGRAPHS[0]
    """That network, fetched once: efficientnet-lite0, or vgg16, which is slower and what most papers look through."""

    def terms(self) -> Terms:
        return {"structure": (ms_ssim, self.structure_weight), **super().terms()}

    def seen(self, device: str) -> Terms:
        """The parts that look through the network's eyes."""
        eyes = likeness.Later(self.eyes, device)
        return {"perceptual": (eyes, self.perceptual_weight), "style": (eyes.style, self.style_weight)}

    def check_weights(self, side: int, given: int, option: str = "--crop") -> None:
        """Raise UsageError for weights below 0, parts that pieces of this side are too small for, and eyes that are unknown or shut."""
        check_limits(self, weights(self))
        for name, least in NEEDS.items():
            if getattr(self, name) and side < least:
                raise UsageError(f"--{name.replace('_', '-')} looks at {least} x {least} pixels: {option} {given} is too small for it.")
        known = likeness.PHOTOGRAPHS
        if self.eyes not in known:
            raise UsageError(f"--eyes must be {' or '.join(known)}; got '{self.eyes}'.{nearest(self.eyes, known)}")
        if self.eyes != known[0] and not (self.perceptual_weight or self.style_weight):
            raise UsageError("--eyes needs --perceptual-weight or --style-weight above 0; as it is, nothing would look at it.")
