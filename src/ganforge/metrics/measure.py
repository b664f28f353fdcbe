"""All the measures of one set of feature rows against another, by name: which there are, how many images each needs, how each is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..core.errors import DataError, UsageError, nearest
from . import classifier_score, coverage, frechet, inception_score, kernel, mind, modes, precision_recall
from .features.base import Features
from .moments import Moments

SPLITS = 10
"""Of the Inception Score."""
SUBSETS, SUBSET = 100, 1000
"""Subsets of the kernel distance and images in each, as torch-fidelity and NVIDIA's code have them."""
PROJECTIONS = 1000
"""Directions of MIND, drawn of the seed."""


class Score(NamedTuple):
    """A number, and its standard deviation where the metric has one: over subsets, or of a mean."""

    value: float
    error: float | None = None


Measured = dict[str, Score]


@dataclass(frozen=True)
class Metric:
    """One measure: `rows(fake, real, seed)` of feature rows (n, f) and (m, f) gives its numbers by plain name."""

    least: int
    """Images a side below which the number says nothing."""
    sound: int
    """Images a side from which on it may be quoted; below, a note says so."""
    rows: Callable[[Tensor, Tensor, int], Measured]
    how: Callable[[int, int], str]
    """Its settings for so many fakes and reals, for the protocol; '' where it has none."""
    what: str
    """One line for people."""


def _fid(fake: Tensor, real: Tensor, seed: int) -> Measured:
    return {"FID": Score(frechet.frechet_distance(fake, real))}


def _kid(fake: Tensor, real: Tensor, seed: int) -> Measured:
    size = min(SUBSET, len(fake), len(real))
    return {"KID": Score(*kernel.kernel_distance(fake, real, subsets=SUBSETS, size=size, seed=seed))}


def _precision_recall(fake: Tensor, real: Tensor, seed: int) -> Measured:
    precision, recall = precision_recall.precision_recall(real, fake, k=3)
    return {"precision": Score(precision), "recall": Score(recall)}


def _coverage(fake: Tensor, real: Tensor, seed: int) -> Measured:
    density, covered = coverage.density_coverage(real, fake, k=5)
    return {"density": Score(density), "coverage": Score(covered)}


def _mind(fake: Tensor, real: Tensor, seed: int) -> Measured:
    return {"MIND": Score(mind.mind(fake, real, projections=PROJECTIONS, seed=seed))}


def _elsewhere(fake: Tensor, real: Tensor, seed: int) -> Measured:
    """Not computed of rows: see `inception`, `reached` and `learnt_from`."""
    return {}


def _subsets(fakes: int, reals: int) -> str:
    """How the kernel distance goes about: subsets of a side that is not larger than one would all be that side."""
    size = min(fakes, reals, SUBSET)
    count = "all images at once" if fakes == reals == size else f"{SUBSETS} subsets of {size}"
    return f"KID {count}, error {'of the jackknife' if kernel.overlap(min(fakes, reals), size) else 'over subsets'}"


def _fixed(how: str) -> Callable[[int, int], str]:
    return lambda fakes, reals: how


METRICS = {
    "fid": Metric(50, 10_000, _fid, _fixed(""), "Frechet distance of Gaussians (FID on Inception features); biased upwards by few samples"),
    "kid": Metric(10, 10, _kid, _subsets, "squared kernel distance, unbiased: sound for few samples, too"),
    "is": Metric(100, 5_000, _elsewhere, _fixed(f"IS {SPLITS} splits"), "Inception Score: looks at the generated images alone"),
    "pr": Metric(
        10, 1_000, _precision_recall, _fixed("P/R k=3"), "precision (how real fakes are) and recall (how much of the data they reach)"
    ),
    "prdc": Metric(10, 1_000, _coverage, _fixed("D/C k=5"), "density and coverage: the same, hardened against outliers"),
    "mind": Metric(
        10, 1_000, _mind, _fixed(f"MIND {PROJECTIONS} projections"), "sliced Wasserstein distance: no covariance, so fit for few samples"
    ),
    "modes": Metric(
        100, 100, _elsewhere, _fixed(""), "share of the data's classes that are reached, and how unevenly, as a classifier sees it"
    ),
    "cas": Metric(
        100,
        100,
        _elsewhere,
        _fixed(f"CAS {classifier_score.STEPS} steps of {classifier_score.BATCH}"),
        "classifier accuracy score: learnt from",
    ),
}
PAIRED = {
    "psnr": "peak signal-to-noise ratio, in decibels",
    "ssim": "structural similarity, up to 1",
    "ms-ssim": "the same over five scales, from 176 pixels a side",
    "lpips": "distance as a network sees it",
    "delta-e": "difference of colours to the eye, CIEDE2000: from about 1 on it is noticed",
}
"""What compares two images and not two sets of them: see `runs.pairs`."""
DEFAULT = "fid,kid,pr,prdc,mind"
HIGHER_IS_BETTER = ("IS", "precision", "recall", "density", "coverage", "modes", "CAS", "PSNR", "SSIM", "MS-SSIM")


def parse(text: str | Sequence[str]) -> tuple[str, ...]:
    """'fid,kid' -> ('fid', 'kid'). Raises UsageError for a name that is no metric's."""
    names = [n.strip().lower() for n in (text.split(",") if isinstance(text, str) else text) if n.strip()]
    known = (*METRICS, *PAIRED)
    for name in names:
        if name not in known:
            raise UsageError(f"'{name}' is not a metric.{nearest(name, known)} There are: {', '.join(known)}.")
    if not names:
        raise UsageError(f"--metrics names none. There are: {', '.join(known)}.")
    return tuple(dict.fromkeys(names))


def fitting(names: Sequence[str], count: int, whose: str, has: str = "has") -> tuple[str, ...]:
    """The names, if `count` images suffice for each; else DataError, which says that `whose` `has` so few, and what is sound for them."""
    lacking = [name for name in names if METRICS[name].least > count]
    if not lacking:
        return tuple(names)
    need = METRICS[lacking[0]].least
    least = METRICS["kid"].least
    advice = f"Sound for {count:,}: --metrics kid." if count >= least else f"That is too few for any metric; at least {least} are needed."
    raise DataError(f"{lacking[0].upper()} needs at least {need:,} images a side; {whose} {has} {count:,}. {advice}")


def called(plain: str, features: str, inception: bool) -> str:
    """What a number may be called: FID, KID and the rest on Inception features alone; else FD-<features>, KID-<features>, ..."""
    if inception:
        return plain
    return f"{'FD' if plain == 'FID' else plain}-{features}"


def higher_is_better(name: str) -> bool:
    """Whether more of a number of that name is better; for distances less is."""
    return name.startswith(tuple(f"{plain}-" for plain in HIGHER_IS_BETTER)) or name in HIGHER_IS_BETTER


def measure(fake: Tensor, real: Tensor, names: Sequence[str], *, features: Features, seed: int = 0) -> Measured:
    """Every metric in `names` of feature rows fake (n, f) against real (m, f), taken by `features`, under the names it may be quoted by."""
    found: Measured = {}
    for name in names:
        found |= METRICS[name].rows(fake, real, seed)
    return {called(plain, features.name, features.is_inception): score for plain, score in found.items()}


def streamed(fake: Moments, real: Moments, features: Features) -> Measured:
    """The Frechet distance of sets whose rows were never in memory together, under the name it may be quoted by."""
    value = frechet.from_moments(fake.mean, fake.cov, real.mean, real.cov)
    return {called("FID", features.name, features.is_inception): Score(value)}


def inception(logits: Tensor, features: Features, seed: int = 0) -> Measured:
    """The Inception Score of class logits (n, k) of one set of images; IS-<features> on others than Inception."""
    mean, spread = inception_score.inception_score(logits, SPLITS, seed=seed)
    return {called("IS", features.name, features.is_inception): Score(mean, spread)}


def reached(logits: Tensor, truth: Tensor, features: Features) -> Measured:
    """The share of classes that images are taken for, and the divergence from the data's shares (k,): logits (n, k)."""
    found = modes.classes_reached(logits, truth)
    return {f"modes-{features.name}": Score(found["modes"]), f"KL-{features.name}": Score(found["kl"])}


def learnt_from(images: Tensor, labels: Tensor, test_images: Tensor, test_labels: Tensor, seed: int = 0) -> Measured:
    """The classifier accuracy score: images (n, c, h, w) in [-1, 1] with labels (n,), tested on others, (m, c, h, w) and (m,)."""
    value = classifier_score.classifier_accuracy_score(images, labels, test_images, test_labels, seed=seed)
    return {"CAS-classifier": Score(value, (value * (1 - value) / len(test_images)) ** 0.5)}
