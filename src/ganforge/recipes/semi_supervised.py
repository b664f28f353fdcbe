"""Semi-supervised GAN: a discriminator that is also the classifier, and feature matching (Salimans et al., 2016, arXiv:1606.03498)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ..core.errors import UsageError
from ..core.recipe import Named
from ..data.partly import PartlyLabelled, partly_labelled
from ..data.spec import DataSpec
from ..methods.semi_supervised import SemiSupervised as Method
from ..networks import image
from ..networks.heads import Encoder
from .base import GameRecipe, refusing


@dataclass(frozen=True, kw_only=True)
class SemiSupervised(GameRecipe):
    """Learns a classifier from few labels and many images; it is saved as `classifier`. The generator draws without classes.

    Images without a label lie in a sub-folder (or have a label in the list) called as `--unlabelled` says.
    """

    networks: Annotated[image.Networks, Named(image)] = image.dcgan_noisy
    width: int = 32
    unlabelled: str = "unlabelled"
    """Name of the class whose images have none."""
    labels_per_class: int = 0
    """Hide the labels of all but so many images of each class, chosen by the seed: to try how few are enough. 0: hide none."""
    unlabelled_weight: float = 1.0
    """Weight of telling real images from generated ones, beside naming the labelled ones."""
    dropout: float = 0.5
    """Share of the classifier's features that are hidden while it learns."""
    lr: float = 1e-3
    lr_end: float = 0.03

    def limits(self) -> Mapping[str, tuple[float, float]]:
        return {"labels_per_class": (0, 2**63), "unlabelled_weight": (0, 1e30), "dropout": (0, 0.99)}

    def dataset(self) -> PartlyLabelled:
        return partly_labelled(self.data.load(), self.unlabelled, self.labels_per_class, self.run.seed)

    def method(self, spec: DataSpec) -> Method:
        kinds = len(spec.names)
        if kinds < 2:
            raise UsageError(f"semi-supervised needs images of at least two classes; got {kinds}. Put each into its own sub-folder.")
        with refusing():
            generator = self.networks.generator(spec.shape, self.z, self.width)
            classifier = Encoder(self.networks.discriminator(spec.shape, self.d_width or self.width), kinds, self.dropout)
        return Method(generator.to(spec.device), classifier.to(spec.device), unlabelled_weight=self.unlabelled_weight, **self.shared(spec))
