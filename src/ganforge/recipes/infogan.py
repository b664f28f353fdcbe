"""InfoGAN: codes that can be read back from the picture, found without labels (Chen et al., 2016, arXiv:1606.03657)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..core.errors import UsageError
from ..data.spec import DataSpec
from ..methods.infogan import InfoGAN as Method
from ..networks import image
from ..networks.codes import Coded, Settable
from ..networks.heads import Branched
from .base import TwoPlayerRecipe

HIDDEN = 128
"""Width of the guesser's own layer (app. C.1)."""


@dataclass(frozen=True, kw_only=True)
class InfoGAN(TwoPlayerRecipe):
    """Labels are not looked at: `gan generate --class 3` draws the fourth value of the categorical code, whatever it came to mean."""

    z: int = 62
    """Length of the noise, to which the codes are added."""
    codes: int = 10
    """Values of the categorical code: as many as you expect kinds."""
    continuous: int = 2
    """Continuous codes in [-1, 1]: directions of variation such as slant and width. They are the last numbers of the latent vector."""
    code_weight: float = 1.0
    """Weight of reading the categorical code back."""
    continuous_weight: float = 0.1
    """The same for the continuous ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.labels not in ("auto", "none"):
            raise UsageError("infogan finds kinds of its own and does not look at labels: leave out --labels.")

    def dataset(self) -> Any:
        return TwoPlayerRecipe.dataset(dataclasses.replace(self, data=dataclasses.replace(self.data, labels="none")))

    def method(self, spec: DataSpec) -> Method:  # type: ignore[override]
        if self.pack > 1:
            raise UsageError("--pack shows several pictures at once, whose codes could not be told apart: leave it at 1.")
        game = super().method(dataclasses.replace(spec, classes=0))
        return Method(game, Coded(self.z, spec.device, self.codes, self.continuous), self.code_weight, self.continuous_weight)

    def pair(self, spec: DataSpec) -> image.Networks:
        pair = super().pair(spec)

        def draw(shape: tuple[int, int, int], z: int, width: int, classes: int, condition: str) -> Settable:
            return Settable(pair.generator(shape, z + self.codes + self.continuous, width, 0, condition), z, self.codes)

        def judge(shape: tuple[int, int, int], width: int, classes: int, condition: str) -> Branched:
            return Branched(pair.discriminator(shape, width, 0, condition), self.codes + 2 * self.continuous, HIDDEN)

        return image.Networks(draw, judge)
