"""What classes tell beyond distances: are all of them reached, and is a set of samples good enough to learn from?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..core.errors import DataError, GanforgeError
from ..metrics import measure, sets
from ..metrics.features import Features, find
from ..metrics.features.classifier import MOST
from ..metrics.measure import Measured
from .bar import Bar, tell
from .case import Case
from .eyes import Logits
from .pairs import noted
from .sides import CHUNK, Drawn, Side, Stored

CAS = "cas (learning from samples)"
Answers = tuple[Logits, Callable[[Tensor], Measured]]
"""A network that tells classes, and what is made of its logits."""


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


def possible(case: Case, names: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    """The metrics `names` without those that need classes, or a held-out part, that are not there; a note says why.

    Raises DataError where nothing is left then.
    """
    for name, look in (("modes", shares), ("cas", _learnable)):
        if name in names:
            try:
                look(case)
            except GanforgeError as error:
                names = _without(name, names, error, notes)
    return names


def _without(name: str, names: tuple[str, ...], error: GanforgeError, notes: list[str]) -> tuple[str, ...]:
    """The others of several metrics, and a note on this one; its error where it is alone."""
    noted(error, name, names, notes)
    return tuple(other for other in names if other != name)


def answers(
    case: Case, eyes: Features, weights: str, names: tuple[str, ...], seed: int, device: str, notes: list[str]
) -> tuple[list[Answers], tuple[str, ...]]:
    """What is asked of networks that tell classes, and the metrics `names` without those whose network cannot be had: a note says why.

    Among others the Inception Score makes do with a classifier of the data, and is called IS-classifier then.
    """

    @cache
    def classifier() -> Logits:
        return Logits(find("classifier", device=device, data=case.whole), "", device)

    def score() -> Answers:
        try:
            told = Logits(eyes, weights, device)
        except GanforgeError as error:
            if len(names) == 1 or case.whole.labels is None:
                raise
            told = classifier()
            notes.append(f"IS-classifier instead of IS: {error}")
        return told, lambda rows: measure.inception(rows, told, seed)

    def reach() -> Answers:
        truth, told = shares(case), classifier()
        return told, lambda rows: measure.reached(rows, truth, told)

    found: list[Answers] = []
    for name, ask in (("is", score), ("modes", reach)):
        if name in names:
            try:
                found.append(ask())
            except GanforgeError as error:
                names = _without(name, names, error, notes)
    return found, names


def _learnable(case: Case) -> None:
    """Raise DataError where a classifier cannot learn from the judged images, or not be tested."""
    shared(case, CAS)
    if isinstance(case.judged, Drawn) and case.judged.ignores_classes():
        raise DataError(f"{CAS} needs a model that knows classes; this one draws the same image whichever class is asked for.")
    if case.split != "held-out" or case.other is None or case.other.labels is None:
        raise DataError(
            f"{CAS} is tested on held-out images, and the data has none, or too few: give data with folders train and test, or with a "
            "test part of its own."
        )


def score(case: Case, seed: int, device: str) -> tuple[Measured, Measured]:
    """(of the judged images, of as many training images): the accuracy on held-out images of a classifier that has seen only these."""
    labels, tested = shared(case, CAS)
    assert case.other is not None and case.other.labels is not None
    tell("cas: two classifiers are trained, one on the judged and one on the training images")
    some = sets.subset(case.other, case.judged.count, seed)
    assert some.labels is not None
    fake, train, test = (_small(side) for side in (case.judged, Stored(case.data, some), Stored(case.data, case.real)))
    test = test.to(device)

    def learnt(images: Tensor, of: Tensor) -> Measured:
        return measure.learnt_from(images.to(device), of.to(device), test, tested.to(device), seed)

    return learnt(fake, labels), learnt(train, some.labels)


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
