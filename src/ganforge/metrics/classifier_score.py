"""Is a set of labelled samples good enough to learn from? The classifier accuracy score (Ravuri & Vinyals, 2019, arXiv:1905.10887)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..core.errors import DataError
from .features.classifier import Classifier

BATCH, PEAK, STEPS = 128, 2e-3, 600


def classifier_accuracy_score(
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    *,
    classifier: nn.Module | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> float:
    """Accuracy, 0 to 1, on real test images of a classifier that has seen generated ones only: images (n, c, h, w) in [-1, 1], labels
    (n,) from 0; test images (m, c, h, w), labels (m,).

    Trains `classifier` (images -> logits; None: the small convolutional one of `features.classifier`), in place, for `steps` batches
    of 128 with Adam (Ravuri & Vinyals, 2019, arXiv:1905.10887, sec. 3.1, who train a ResNet-50 on as many samples as there are
    training images). Give the training images instead of samples for the accuracy of a perfect model; only that comparison, at the same
    n, steps and classifier, means something. Low scores come from missing kinds, wrong labels or bad pictures. Few samples lower it as they
    do for real images; m test images leave an error of sqrt(p (1 - p) / m). Deterministic given the seed, on one machine.
    Raises DataError for labels that do not fit, images of two kinds, none at all, or NaN.
    """
    _check(images, labels, test_images, test_labels)
    classes = int(max(labels.max(), test_labels.max())) + 1
    with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        net = (Classifier(tuple(images.shape[1:]), classes) if classifier is None else classifier).to(images.device).train()
        optimizer = torch.optim.Adam(net.parameters(), PEAK)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
        for _ in range(steps):
            drawn = torch.randint(len(images), (BATCH,)).to(images.device)
            loss = cross_entropy(net(images[drawn]), labels[drawn].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        right = sum(int((net(x).argmax(1) == y).sum()) for x, y in zip(test_images.split(500), test_labels.split(500), strict=True))
    return right / len(test_images)


def _check(images: Tensor, labels: Tensor, test_images: Tensor, test_labels: Tensor) -> None:
    for what, x, y in (("generated", images, labels), ("test", test_images, test_labels)):
        if x.ndim != 4 or not len(x) or y.shape != (len(x),):
            raise DataError(
                f"the classifier accuracy score needs {what} images (n, c, h, w), n at least 1, and a label for each, (n,); "
                f"got shapes {tuple(x.shape)} and {tuple(y.shape)}."
            )
        if y.is_floating_point() or int(y.min()) < 0:
            raise DataError(f"the classifier accuracy score needs {what} labels that are whole numbers from 0.")
        if not x.isfinite().all():
            raise DataError(f"the classifier accuracy score: {what} images hold NaN or infinity.")
    if images.shape[1:] != test_images.shape[1:]:
        got = " and ".join(" x ".join(map(str, x.shape[1:])) for x in (images, test_images))
        raise DataError(f"the classifier accuracy score needs generated and test images of one size and colour; got {got}.")
