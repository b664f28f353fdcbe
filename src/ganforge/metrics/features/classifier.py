"""A small classifier trained on the classes of the data at hand, as a judge of samples where networks of photographs know nothing.

A distance on its features is called FD-classifier, never FID: it compares only with numbers on the same data.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, max_pool2d, relu

from ...core.errors import DataError, UsageError
from ...data.imageset import ImageSet
from ..weights import digest, keep, kept
from .base import checked

log = logging.getLogger("ganforge.metrics")
DIM = 128
BATCH, EPOCHS, LEARNING_RATE = 128, 3, 2e-3
MOST = 40
"""Pixels a side; larger images are averaged down by a whole factor first, so that training takes about a minute at most."""
TIMED, LONG = 5, 5.0
"""Steps that are timed, and seconds of training from which on they are told."""
TESTED = 2000
"""Images at most on which its accuracy is taken."""
LEAST_STEPS, MOST_STEPS = 234, 1500
VERSION = 1
"""Raised when training changes, so that old weights are not taken for new ones."""


class Classifier(nn.Module):
    """Images (n, c, h, w) in [-1, 1] -> class logits (n, classes); `features` -> (n, 128)."""

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), classes: int = 10) -> None:
        super().__init__()
        c, h, w = shape
        self.shrink = -(-max(h, w) // MOST)
        rest = (h // self.shrink // 4) * (w // self.shrink // 4)
        self.conv1, self.conv2 = nn.Conv2d(c, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(32), nn.BatchNorm2d(64)
        self.hidden, self.out = nn.Linear(64 * rest, DIM), nn.Linear(DIM, classes)

    def features(self, x: Tensor) -> Tensor:
        x = avg_pool2d(x, self.shrink) if self.shrink > 1 else x
        h = max_pool2d(relu(self.norm1(self.conv1(x))), 2)
        h = max_pool2d(relu(self.norm2(self.conv2(h))), 2)
        return relu(self.hidden(h.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x))


def train(data: ImageSet) -> Classifier:
    """A classifier of `data`, trained for three epochs (234 to 1,500 steps of 128 images): a function of the data alone.

    The global random state is left as it was. Raises DataError for data without at least two classes, or of less than 8 pixels a side.
    """
    spec = data.spec
    if spec.classes < 2 or data.labels is None:
        raise DataError("a classifier needs labelled data with at least two classes; these images have none. Take other features.")
    if min(spec.shape[1:]) < 8 or spec.shape[0] not in (1, 3):
        raise DataError(f"a classifier needs grey or colour images of at least 8 pixels a side; got {spec.shape}.")
    steps = min(max(EPOCHS * len(data) // BATCH, LEAST_STEPS), MOST_STEPS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier(spec.shape, spec.classes)
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    began = time.monotonic()
    for step, batch in zip(range(steps), data.batches(BATCH, seed=0), strict=False):
        if step == TIMED and (left := (time.monotonic() - began) * (steps - TIMED) / TIMED) > LONG:
            log.warning("a classifier of the %d classes is trained once, about %.0f seconds", spec.classes, left)
        loss = cross_entropy(net(batch["x"]), batch["y"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


def trained(data: ImageSet, cache: Path) -> Classifier:
    """`train(data)`, or what an earlier call with the same images and labels left in the cache."""
    path = cache / "weights" / f"classifier-{VERSION}-{data.fingerprint}.safetensors"
    state = kept(path)
    if state is None or not data.spec.classes:
        net = train(data)
        keep(path, net.state_dict())
        return net
    net = Classifier(data.spec.shape, data.spec.classes)
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


class Trained:
    """The features of a classifier of the data at hand: uint8 images (n, c, h, w) of the data's size -> (n, 128).

    `logits` gives what it takes them for, (n, classes): for IS-classifier, modes and accuracy.
    """

    name = "classifier"
    dim = DIM
    is_inception = False

    def __init__(self, data: ImageSet | None, cache: Path, device: str | torch.device) -> None:
        if data is None:
            raise UsageError("the features 'classifier' are those of a network trained on the data's classes: give the labelled data, too.")
        self.net, self.shape, self.device = trained(data, cache).to(device), data.spec.shape, device
        sha = digest(self.net.state_dict())
        self.facts = {"weights": sha, "resize": "none", "runtime": "torch", "precision": "fp32", "accuracy": self._accuracy(data)}

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        return self.net.features(self._ready(images))

    def _accuracy(self, data: ImageSet) -> str:
        """'0.981 held out': the share that it tells right, of held-out images where there are some, else of those it was trained on."""
        held = data.held_out is not None and data.held_out.names == data.names
        tested = data.held_out if held and data.held_out is not None else data
        if tested.labels is None:
            return "unknown"
        which = torch.randperm(len(tested), generator=torch.Generator().manual_seed(0))[:TESTED].sort().values  # folders come by class
        x, y = tested.images[which], tested.labels[which]
        told = torch.cat([self.logits(part).argmax(1).cpu() for part in x.split(500)])
        right = int((told == y).sum())
        return f"{right / len(x):.3f} {'held out' if held else 'of its training images'}"

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        return self.net(self._ready(images))

    def _ready(self, images: Tensor) -> Tensor:
        if tuple(checked(images).shape[1:]) != self.shape:
            raise DataError(f"this classifier was trained on images {self.shape} (channels, height, width); got {tuple(images.shape[1:])}.")
        return images.to(self.device, non_blocking=True).float() / 127.5 - 1
