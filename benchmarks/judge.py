"""A small classifier of 28x28 sets as a judge of samples: FD on its features, and how often the class asked for is the class drawn.

The distance is called FD-cnn, never FID: it is comparable only with numbers made by this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d, relu

from ganforge.data.images import Images
from ganforge.metrics.frechet import frechet_distance


class Classifier(nn.Module):
    """Images (n, 1, 28, 28) in [-1, 1] -> class logits (n, 10); `features` -> (n, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
        self.hidden, self.out = nn.Linear(64 * 49, 128), nn.Linear(128, 10)

    def features(self, x: Tensor) -> Tensor:
        h = max_pool2d(relu(self.norm1(self.conv1(x))), 2)
        h = max_pool2d(relu(self.norm2(self.conv2(h))), 2)
        return relu(self.hidden(h.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x))


class Judge:
    """Trained on the training images of a set, judging against its held-out images."""

    def __init__(self, name: str, cache: Path) -> None:
        data = Images(path=name, size="28").load()
        self.real = data.held_out
        self.net = Classifier()
        stored = cache / f"judge-{name}.safetensors"
        if stored.exists():
            self.net.load_state_dict(load_file(stored))
        else:
            self._train(data)
            cache.mkdir(parents=True, exist_ok=True)
            save_file(self.net.state_dict(), stored)
        self.net.eval().requires_grad_(False)
        self.of_real = self.features(self.real.images.float() / 127.5 - 1)

    def _train(self, data, epochs: int = 3) -> None:
        torch.manual_seed(0)
        steps = epochs * len(data.images) // 128
        optimizer = torch.optim.Adam(self.net.parameters(), 2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
        for _, batch in zip(range(steps), data.batches(128, seed=0)):
            loss = cross_entropy(self.net(batch["x"]), batch["y"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

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

    def floor(self, train: Tensor) -> float:
        """FD-cnn of as many training images as there are held-out ones: what a perfect model would score."""
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: len(self.real.images)]
        return self.distance(train[order].float() / 127.5 - 1)


if __name__ == "__main__":
    judge = Judge(sys.argv[1] if len(sys.argv) > 1 else "fashion-mnist", Path("runs/judges"))
    print(f"held-out accuracy of the judge {judge.accuracy():.4f}")
