"""What the loss of a restoration is made of, each part with its weight (ESRGAN, arXiv:1809.00219, eq. 3, and beyond)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from ..core.errors import UsageError
from ..distances import WINDOW, charbonnier, colour, ms_ssim
from ..metrics import likeness
from .base import check_limits

NEEDS = {"structure_weight": WINDOW, "perceptual_weight": likeness.LEAST}
"""Parts that look at more than a few pixels, and at how many each way."""
GAME = ("perceptual_weight", "feature_weight", "adversarial_weight", "loss", "d_width")
"""Options that the game alone looks at."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The pixels' difference has the weight 1; what weighs 0 is left out."""

    structure_weight: float = 0.0
    """Weight of 1 - MS-SSIM."""
    colour_weight: float = 0.0
    """Weight of the difference of mean colours over 8 x 8 pixels, against casts."""
    perceptual_weight: float = 0.0
    """In the game: weight of the difference to the eyes of a network of photographs, which then is no judge of the result any more."""
    feature_weight: float = 1.0
    """In the game: weight of the difference between the discriminator's maps."""
    adversarial_weight: float = 0.01
    """In the game: weight of the adversarial loss."""

    def check_weights(self, side: int, crop: int) -> None:
        """Raise UsageError for weights below 0, and for parts that pieces of this side are too small for."""
        check_limits(self, dict.fromkeys(Weighed.__dataclass_fields__, (0, math.inf)))
        for name, least in NEEDS.items():
            if getattr(self, name) and side < least:
                raise UsageError(f"--{name.replace('_', '-')} looks at {least} x {least} pixels: --crop {crop} is too small for it.")

    def check_idle(self, game: float) -> None:
        """Raise UsageError for the first option of the game that was set, where its share of the budget is 0."""
        for known in fields(self):
            if not game and known.name in GAME and getattr(self, known.name) != known.default:
                raise UsageError(f"--{known.name.replace('_', '-')} needs --adversarial above 0; as it is, nothing would look at it.")

    def weights(self, device: str) -> dict[str, Any]:
        """The parts as methods take them."""
        terms = {"pixels": (charbonnier, 1.0), "structure": (ms_ssim, self.structure_weight), "colour": (colour, self.colour_weight)}
        late = {"perceptual": (likeness.Later(likeness.KNOWN[0], device), self.perceptual_weight)}
        game = {"feature_weight": self.feature_weight, "adversarial_weight": self.adversarial_weight}
        return {"terms": terms, "late_terms": late, **game}
