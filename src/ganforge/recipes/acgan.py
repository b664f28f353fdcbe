"""AC-GAN: the discriminator also names the class (Odena et al., 2016, arXiv:1610.09585)."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import UsageError
from ..data.spec import DataSpec
from ..methods.class_aux import AuxiliaryClassifier
from ..methods.two_player import TwoPlayer
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.class_weight >= 0:
            raise UsageError(f"--class-weight must be at least 0; got {self.class_weight}.")

    def method(self, spec: DataSpec) -> AuxiliaryClassifier:  # type: ignore[override]
        if not spec.classes:
            raise UsageError("acgan needs labels: put each class into its own sub-folder, or give --labels labels.csv.")
        game = super().method(spec)
        if type(game) is not TwoPlayer:
            raise UsageError(f"acgan takes --augment none or diffaugment; got {self.augment}.")
        return AuxiliaryClassifier(game, self.class_weight)

    def pair(self, spec: DataSpec) -> image.Networks:
        pair = super().pair(spec)

        def judge(shape: tuple[int, int, int], width: int, classes: int, condition: str) -> Branched:
            told = (0, "concat") if condition == "classifier" else (classes, condition)
            return Branched(pair.discriminator(shape, width, *told), classes)

        return image.Networks(pair.generator, judge)
