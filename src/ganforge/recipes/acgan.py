"""AC-GAN: the discriminator also names the class (Odena et al., 2016, arXiv:1610.09585)."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import UsageError
from ..data.spec import DataSpec
from ..methods.class_aux import AuxiliaryClassifier
from ..networks import image
from ..networks.heads import Branched
from .base import TwoPlayerRecipe


@dataclass(frozen=True, kw_only=True)
class ACGAN(TwoPlayerRecipe):
    """Conditioning by an auxiliary classifier, for any networks, loss and penalty. Needs labels.

    `--d-condition projection` or `concat` tells the discriminator the class as well, which the paper does not.
    """

    z: int = 100
    d_condition: str = "classifier"
    class_weight: float = 1.0
    """Weight of naming the class, for both players; 1 in the paper."""

    def method(self, spec: DataSpec) -> AuxiliaryClassifier:  # type: ignore[override]
        if not spec.classes:
            raise UsageError("acgan needs labels: put each class into its own sub-folder, or give --labels labels.csv.")
        if self.label_dropout:
            raise UsageError("--label-dropout hides classes that acgan wants named: leave it at 0.")
        return AuxiliaryClassifier(super().method(spec), self.class_weight)

    def pair(self, spec: DataSpec) -> image.Networks:
        pair = super().pair(spec)

        def judge(shape: tuple[int, int, int], width: int, classes: int, condition: str) -> Branched:
            told = (0, "concat") if condition == "classifier" else (classes, condition)
            return Branched(pair.discriminator(shape, width, *told), classes)

        return image.Networks(pair.generator, judge)
