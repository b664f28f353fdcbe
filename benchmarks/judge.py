"""A small classifier of 28x28 sets as a judge of samples: FD on its features, and how often the class asked for is the class drawn.

The distance is called FD-cnn, never FID: it is comparable only with numbers made by this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from ganforge.data.images import Images
from ganforge.metrics.features.classifier import trained
from ganforge.metrics.frechet import frechet_distance


class Judge:
    """Trained on the training images of a set, judging against its held-out images."""

    def __init__(self, name: str, cache: Path) -> None:
        data = Images(path=name, size="28").load()
        self.real = data.held_out
        self.net = trained(data, cache)
        self.of_real = self.features(self.real.images.float() / 127.5 - 1)

    def accuracy(self) -> float:
        """On the held-out images."""
        x = self.real.images.float() / 127.5 - 1
        return float(torch.cat([self.net(b).argmax(1) for b in x.split(500)]).eq(self.real.labels).float().mean())

    def features(self, x: Tensor) -> Tensor:
        return torch.cat([self.net.features(part) for part in x.split(500)])

    def distance(self, fakes: Tensor) -> float:
        """FD-cnn of fakes (n, 1, 28, 28) in [-1, 1] to the held-out images."""
        return frechet_distance(self.features(fakes), self.of_real)

    def agreement(self, fakes: Tensor, wanted: Tensor) -> float:
        """Share of fakes that the classifier takes for the class that was asked for."""
        return float(torch.cat([self.net(part).argmax(1) for part in fakes.split(500)]).eq(wanted).float().mean())

    def spread(self, fakes: Tensor, wanted: Tensor) -> float:
        """Variance of the features within a class over that of real images, mean over classes: 1 is perfect, 0 one image a class."""
        found, real = self.features(fakes), self.of_real
        return float(
            torch.stack(
                [found[wanted == c].var(0).sum() / real[self.real.labels == c].var(0).sum() for c in self.real.labels.unique()]
            ).mean()
        )

    def floor(self, train: Tensor) -> float:
        """FD-cnn of as many training images as there are held-out ones: what a perfect model would score."""
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: len(self.real.images)]
        return self.distance(train[order].float() / 127.5 - 1)


if __name__ == "__main__":
    judge = Judge(sys.argv[1] if len(sys.argv) > 1 else "fashion-mnist", Path("runs/judges"))
    print(f"held-out accuracy of the judge {judge.accuracy():.4f}")
