"""Judge a model, or a folder of images, against data: numbers with their protocol, their errors and their floor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from .. import __version__
from ..core.errors import DataError, UsageError
from ..core.machine import pick_device
from ..data.imageset import ImageSet
from ..data.source import cache_folder
from ..metrics import measure, sets
from ..metrics.features import Features, cached, extract
from ..metrics.measure import Measured
from ..metrics.memorisation import Memorisation, memorisation
from ..metrics.protocol import Evaluation
from . import copies, evaluations, report
from .bar import Bar
from .case import Case, resolve
from .eyes import Logits, choose
from .sides import CHUNK, Side

Found = tuple[Evaluation, Memorisation]
Compare = Callable[[Tensor, Tensor, Sequence[str]], Measured]
INTRA = ("fid", "kid")
"""What is measured class by class."""


def evaluate(
    subject: str | Path,
    data: str | Path = "",
    *,
    metrics: str | Sequence[str] = "",
    samples: int = 0,
    features: str = "auto",
    weights: str = "",
    size: str = "",
    per_class: bool = False,
    seed: int = 0,
    out: str | Path = "",
    code: Collection[str] = (),
    device: str = "auto",
) -> Evaluation:
    """Measure a run, a model or a folder of images against data.

    subject: a run folder, a model folder (best/ or a copy), or a folder, archive or built-in set of images. data: what to compare
    with; a run is compared with its own training data by default. Where the data has a held-out part that is the reference, and
    the training part is measured, too. metrics: names of `measure.METRICS`, as a list or 'fid,kid'; '' takes all that suit the number
    of images. samples: images a side; 0: as many as the reference has, at most 10,000. features: a name of `metrics.features.find`,
    or auto. The result is written to evaluations/ of the run, or to `out`; with neither it is only returned.

    Raises UsageError for unknown names, DataError for images of which no sound number can be made.
    """
    if samples < 0 or not 0 <= seed < 2**31:
        raise UsageError(f"--samples must be 0 or more and --seed from 0 to 2^31 - 1; got {samples} and {seed}.")
    path, names = Path(subject).expanduser(), measure.parse(metrics or measure.DEFAULT)
    with torch.random.fork_rng(devices=[]):
        case = resolve(path, str(data), samples, size, seed, code, pick_device(device))
        if not metrics:
            names = tuple(n for n in names if measure.METRICS[n].least <= case.count) or ("kid",)
        names = measure.fitting(names, case.count, case.smaller)
        eyes, told = choose(features, weights, code, pick_device(device), case.whole)
        logits = Logits(eyes, weights, pick_device(device)) if "is" in names else None
        found, copied = _evaluate(case, eyes, logits, names, seed, per_class)
        found = replace(found, notes=(*told, *case.notes, *found.notes))
        folder = Path(out) if out else path / "evaluations" if (path / "recipe.json").is_file() else None
        found = evaluations.write(found, folder, copies.picture(case, copied) if folder else None)
    if found.saved and found.saved.parent == path / "evaluations":
        report.write(path)
    return found


def _evaluate(case: Case, eyes: Features, logits: Logits | None, names: Sequence[str], seed: int, per_class: bool) -> Found:
    def compare(a: Tensor, b: Tensor, which: Sequence[str]) -> Measured:
        return measure.measure(a, b, which, features=eyes, seed=seed)

    real = _real(eyes, case.real, f"the reference in {case.data}")
    other = _real(eyes, case.other, f"the other part of {case.data}") if case.other is not None else None
    fake, *classes = rows_of([eyes, logits] if logits else [eyes], case.judged)
    held_out = case.split == "held-out" and other is not None
    low, high, floor_of = _floor_sets(real, other, case.split, seed)
    scores, floor = compare(fake, real, names), compare(low, high, names)
    if logits:
        scores |= measure.inception(classes[0], logits, seed)
        floor |= measure.inception(_real(logits, case.real, f"the reference in {case.data}"), logits, seed)
    against_training = compare(fake, other, names) if held_out and other is not None else {}
    copied = memorisation(fake, other, real) if held_out and other is not None else memorisation(fake, real, other)
    found = Evaluation(
        subject=case.judged.name,
        values={name: score.value for name, score in scores.items()},
        errors={name: score.error for name, score in scores.items() if score.error is not None},
        floor={name: score.value for name, score in floor.items()},
        floor_of=floor_of,
        settings=settings(case, eyes, names, seed),
        training={name: score.value for name, score in against_training.items()},
        per_class=_classes(case, fake, real, compare, names) if per_class else {},
        memorisation={**copies.numbers(copied), "training images searched": float(len(case.train))},
        notes=_cautions(case, eyes, names),
        model=case.model or {},
    )
    return found, copied


def rows_of(eyes: Sequence[Features], side: Side) -> list[Tensor]:
    """Rows (n, f) of each of the features, on the CPU, of all images of a side; only a few hundred images are in memory at a time."""
    parts: list[list[Tensor]] = [[] for _ in eyes]
    with torch.inference_mode(), Bar(f"{eyes[0].name} features of {side.name}", side.count) as progress:
        for at in range(0, side.count, CHUNK):
            which = range(at, min(at + CHUNK, side.count))
            pixels = side.pixels(which)
            for rows, one in zip(parts, eyes, strict=True):
                rows.append(extract(one, pixels))
            progress(which.stop)
    return [sets.check_rows(torch.cat(rows), side.name, one.name) for rows, one in zip(parts, eyes, strict=True)]


def _real(eyes: Features, images: ImageSet, whose: str) -> Tensor:
    with Bar(f"{eyes.name} features of {whose}", len(images)) as progress:
        found = cached(eyes, images, cache_folder(), keep=len(images), progress=progress)
    return sets.check_rows(found.rows, whose, eyes.name)


def _floor_sets(real: Tensor, other: Tensor | None, split: str, seed: int) -> tuple[Tensor, Tensor, str]:
    if other is not None:
        what = "training against held-out images" if split == "held-out" else "two disjoint parts of the data"
        return other, real, f"{what}, {len(other):,} and {len(real):,}"
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    half = len(real) // 2
    what = f"two disjoint halves of the data, {half:,} each: fewer than judged, so all but KID lie higher here"
    return real[order[:half]], real[order[half : 2 * half]], what


def settings(case: Case, eyes: Features, names: Sequence[str], seed: int) -> dict[str, str]:
    """Everything that decides the numbers, in words, in the order in which it is quoted."""
    shape = case.real.images.shape
    proportions = "as in the data" if case.judged.labels is not None and case.model is not None else ""
    return {
        "features": f"{eyes.name} ({', '.join(f'{key} {value}' for key, value in eyes.facts.items())})",
        "judged": f"{case.judged.count:,} images",
        "real": f"{len(case.real):,} images",
        "data": f"{case.data} ({case.fingerprint[:8]})",
        "split": case.split,
        "size": f"{shape[3]}x{shape[2]}x{shape[1]}",
        "classes": proportions,
        "metrics": ", ".join(how for name in names if (how := measure.METRICS[name].how)),
        "seed": str(seed),
        "ganforge": __version__,
    }


def _classes(case: Case, fake: Tensor, real: Tensor, compare: Compare, names: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """{class: {metric: value}} for the metrics in INTRA; classes with too few images on a side are left out."""
    ours, theirs = case.judged.labels, case.real.labels
    which = [name for name in INTRA if name in names] or list(INTRA)
    if ours is None or theirs is None:
        side = "the data has" if theirs is None else "the judged images have"
        raise DataError(f"--per-class needs classes on both sides, and {side} none that fit.")
    found: dict[str, Mapping[str, float]] = {}
    for number, kind in enumerate(case.real.names):
        a, b = fake[ours == number], real[theirs == number]
        fitting = [name for name in which if measure.METRICS[name].least <= min(len(a), len(b))]
        found[kind] = {name: score.value for name, score in compare(a, b, fitting).items()}
    return found


def _cautions(case: Case, eyes: Features, names: Sequence[str]) -> tuple[str, ...]:
    if "fid" in names and case.count < eyes.dim:
        name = measure.called("FID", eyes.name, eyes.is_inception)
        return (
            f"{name} of {case.count:,} images and {eyes.dim:,} features is biased upwards: compare it at this size only, quote KID or MIND",
        )
    return ()
