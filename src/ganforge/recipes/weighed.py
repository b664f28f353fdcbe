"""What the loss of a restoration is made of, each part with its weight (ESRGAN, arXiv:1809.00219, eq. 3, and beyond)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..core.errors import UsageError
from ..distances import charbonnier
from .parts import PairParts

GAME = ("perceptual_weight", "style_weight", "eyes", "feature_weight", "adversarial_weight", "loss", "critic", "d_width")
"""Options that the game alone looks at."""


@dataclass(frozen=True, kw_only=True)
class Weighed(PairParts):
    """The pixels' difference has the weight 1; what weighs 0 is left out."""

    perceptual_weight: float = 0.0
    """In the game: weight of the difference to the eyes of a network of photographs, which then is no judge of the result any more."""
    style_weight: float = 0.0
    """In the game: weight of the difference of what these eyes see together, wherever it is (Gram matrices): for texture."""
    feature_weight: float = 1.0
    """In the game: weight of the difference between the discriminator's maps."""
    adversarial_weight: float = 0.01
    """In the game: weight of the adversarial loss."""

    def check_idle(self, game: float) -> None:
        """Raise UsageError for the first option of the game that was set, where its share of the budget is 0."""
        for known in fields(self):
            if not game and known.name in GAME and getattr(self, known.name) != known.default:
                raise UsageError(f"--{known.name.replace('_', '-')} needs --adversarial above 0; as it is, nothing would look at it.")

    def weights(self, device: str) -> dict[str, Any]:
        """The parts as methods take them."""
        terms = {"pixels": (charbonnier, 1.0), **self.terms()}
        game = {"feature_weight": self.feature_weight, "adversarial_weight": self.adversarial_weight}
        return {"terms": terms, "late_terms": self.seen(device), **game}
