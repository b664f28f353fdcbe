"""What classes tell beyond distances: are all of them reached, and is a set of samples good enough to learn from?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..core.errors import DataError
from ..metrics import measure
from ..metrics.features.classifier import MOST
from ..metrics.measure import Measured
from .bar import Bar, tell
from .case import Case
from .sides import CHUNK, Drawn, Side, Stored

CAS = "cas (learning from samples)"


def shared(case: Case, who: str) -> tuple[Tensor, Tensor]:
    """Classes (n,) of the judged images and (m,) of the reference, both numbered as in the data.

    Raises DataError, in the name of `who`, where a side has none, or where they are not the same.
    """
    ours, theirs = case.judged.labels, case.real.labels
    if ours is None or theirs is None:
        side = "the data has" if theirs is None else "the judged images have"
        raise DataError(f"{who} needs classes on both sides, and {side} none that fit.")
    if apart := sorted(set(case.judged.names) ^ set(case.real.names)):
        raise DataError(f"{who} needs the same classes on both sides; only one side has {', '.join(apart[:10])}.")
    number = torch.tensor([case.real.names.index(name) for name in case.judged.names])
    return number[ours], theirs


def shares(case: Case) -> Tensor:
    """(k,) share of each class in the data. Raises DataError for data without classes."""
    if case.whole.labels is None:
        raise DataError("modes counts the classes that are reached, and the data has no classes. Without them: --metrics prdc.")
    counts = torch.bincount(case.whole.labels, minlength=len(case.whole.names)).double()
    return counts / counts.sum()


def check(case: Case, names: Sequence[str]) -> None:
    """Raise DataError where one of the metrics `names` needs classes, or a held-out part, that are not there."""
    if "modes" in names:
        shares(case)
    if "cas" not in names:
        return
    shared(case, CAS)
    if isinstance(case.judged, Drawn) and case.judged.ignores_classes():
        raise DataError(f"{CAS} needs a model that knows classes; this one draws the same image whichever class is asked for.")
    if case.split != "held-out" or case.other is None or case.other.labels is None:
        raise DataError(
            f"{CAS} is tested on held-out images, and the data has none, or too few: give data with folders train and test, or with a "
            "test part of its own."
        )


def score(case: Case, seed: int, device: str) -> tuple[Measured, Measured]:
    """(of the judged images, of the training images): the accuracy on held-out images of a classifier that has seen only these."""
    labels, tested = shared(case, CAS)
    assert case.other is not None and case.other.labels is not None
    tell("cas: two classifiers are trained, one on the judged and one on the training images")
    fake, train, test = (_small(side) for side in (case.judged, Stored(case.data, case.other), Stored(case.data, case.real)))
    test = test.to(device)

    def learnt(images: Tensor, of: Tensor) -> Measured:
        return measure.learnt_from(images.to(device), of.to(device), test, tested.to(device), seed)

    return learnt(fake, labels), learnt(train, case.other.labels)


def _small(side: Side) -> Tensor:
    """All images of a side in [-1, 1], averaged down as the classifier would do itself, so that any size fits into memory."""
    parts: list[Tensor] = []
    with torch.inference_mode(), Bar(f"images of {side.name}", side.count) as progress:
        for at in range(0, side.count, CHUNK):
            which: Sequence[int] = range(at, min(at + CHUNK, side.count))
            pixels = side.pixels(which).float() / 127.5 - 1
            shrink = -(-max(pixels.shape[2:]) // MOST)
            parts.append(avg_pool2d(pixels, shrink) if shrink > 1 else pixels)
            progress(at + len(which))
    return torch.cat(parts).clone()
